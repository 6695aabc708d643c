"""What a window will show when its labels are there: nowcast and calibration."""
