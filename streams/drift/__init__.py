"""Detectors in event time behind a maturity frontier."""

from streams.drift.detectors import KNOWN, Detector, check_detector, make_detector
from streams.drift.feeding import ErrorSignal
from streams.drift.frontier import Frontier, Standing

__all__ = ["KNOWN", "Detector", "ErrorSignal", "Frontier", "Standing", "check_detector", "make_detector"]
