"""CAEN CoMPASS binary files: records back to back, without marks, whose layout a header word tells (from v2 on)."""
