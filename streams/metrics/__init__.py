"""Figures out of accumulators, one family per file: what ``model_quality`` and ``class_quality`` show."""

from streams.metrics.classification import class_quality
from streams.metrics.counts import status_shares
from streams.metrics.durations import delay_curve
from streams.metrics.quality import model_quality
from streams.metrics.tasks import task_of

__all__ = ["class_quality", "delay_curve", "model_quality", "status_shares", "task_of"]
