"""Event tier: time coincidence map and event building over all channels."""
