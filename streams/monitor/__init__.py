"""Stage 2: what stage 1 counted, merged over partitions, becomes drift events, alerts and model states."""

from streams.monitor.follower import Follower
from streams.monitor.snapshot import Loading, SnapshotError, fingerprint
from streams.monitor.stage import Findings, Monitor

__all__ = ["Findings", "Follower", "Loading", "Monitor", "SnapshotError", "fingerprint"]
