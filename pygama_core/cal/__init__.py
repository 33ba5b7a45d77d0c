"""Calibration steps: arrays in, frozen results out, CalibrationError when there is none."""
