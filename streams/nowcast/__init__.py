"""What a window will show when its labels are there: nowcast and calibration."""

from streams.nowcast.calibration import calibrate
from streams.nowcast.likelihood import Estimate, Outcome, Unlabelled, estimate, share_arrived
from streams.nowcast.window import nowcast

__all__ = ["Estimate", "Outcome", "Unlabelled", "calibrate", "estimate", "nowcast", "share_arrived"]
