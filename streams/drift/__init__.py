"""Detectors in event time behind a maturity frontier."""

from streams.drift.frontier import Frontier

__all__ = ["Frontier"]
