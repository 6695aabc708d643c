"""Stage 1 of one partition: codes, join and panes, one batch in, changed panes out."""

from streams.partition.counters import StageCounters
from streams.partition.stage import PartitionStage

__all__ = ["PartitionStage", "StageCounters"]
