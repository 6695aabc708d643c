"""The cold join at work: which panes are touched, when their turn comes, and what ClickHouse is asked."""

from sinks.cold.joiner import ColdCounters, ColdJoiner, ColdSettings
from sinks.cold.reached import Reached

__all__ = ["ColdCounters", "ColdJoiner", "ColdSettings", "Reached"]
