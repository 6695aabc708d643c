"""``aftcast replay``: the very same core over recorded files, on one machine and without Kafka."""

from aftcast.replay.run import run_replay

__all__ = ["run_replay"]
