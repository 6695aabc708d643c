"""Detectors in event time behind a maturity frontier."""

from streams.drift.budget import Budget
from streams.drift.channel import Found
from streams.drift.detectors import KNOWN, Detector, check_detector, make_detector
from streams.drift.frontier import Frontier, Standing
from streams.drift.provable import provable_change
from streams.drift.signal_watch import SignalWatch

__all__ = [
    "KNOWN",
    "Budget",
    "Detector",
    "Found",
    "Frontier",
    "SignalWatch",
    "Standing",
    "check_detector",
    "make_detector",
    "provable_change",
]
