"""Features against their reference: distances as figures, tests for decisions, ranks for detectors."""

from streams.references.building import build_reference, reference_version
from streams.references.counts import FeatureCounts, merge_counts, read_features
from streams.references.scores import feature_drift
from streams.references.signals import feature_signals

__all__ = [
    "FeatureCounts",
    "build_reference",
    "feature_drift",
    "feature_signals",
    "merge_counts",
    "read_features",
    "reference_version",
]
