"""ORCA files: packets of 32-bit words behind a property list that tells what they are."""
