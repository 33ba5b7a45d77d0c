"""Hit tier: calibrated quantities and flags, one row per row of the dsp tier."""
