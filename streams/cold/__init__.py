"""The cold join: what panes add up to over all that was ever stored of them, whenever it came."""

from streams.cold.join import ColdRows, join_cold

__all__ = ["ColdRows", "join_cold"]
