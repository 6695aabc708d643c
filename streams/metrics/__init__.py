"""Figures out of accumulators, one family per file: what ``model_quality`` and ``class_quality`` show."""

from streams.metrics.classification import class_quality
from streams.metrics.quality import model_quality
from streams.metrics.tasks import task_of

__all__ = ["class_quality", "model_quality", "task_of"]
