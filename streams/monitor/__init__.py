"""Stage 2: what stage 1 counted, merged over partitions, becomes drift events, alerts and model states."""

from streams.monitor.stage import Findings, Monitor

__all__ = ["Findings", "Monitor"]
