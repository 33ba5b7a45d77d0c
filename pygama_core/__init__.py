"""Data production for germanium-detector experiments: DAQ files to calibrated events.

The public functions live in :mod:`pygama_core.tiers`, one for each step; nothing heavy is imported before it is used.
"""

__version__ = "0.1.0"
