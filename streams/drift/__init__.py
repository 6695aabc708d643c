"""Detectors in event time behind a maturity frontier."""

from streams.drift.detectors import KNOWN, Detector, make_detector
from streams.drift.feeding import ErrorSignal
from streams.drift.frontier import Frontier

__all__ = ["KNOWN", "Detector", "ErrorSignal", "Frontier", "make_detector"]
