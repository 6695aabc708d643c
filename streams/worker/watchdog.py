"""Notices a worker that is alive and does nothing: aiokafka can lose its group and never say so."""

import time
from collections.abc import Mapping
from typing import Any

from streams.worker.errors import StuckError
from streams.worker.standing import Standing


class Watchdog:
    """Looks at a worker from time to time, and raises ``StuckError`` with the reason."""

    def __init__(self, stuck_after_s: float) -> None:
        self._stuck_after_s = stuck_after_s
        self._member_s = self._taken_s = self._moved_s = time.monotonic()
        self._seen: object = None

    def look(self, app: Any, consumer: Any, partitions: Mapping[int, Standing]) -> None:
        now_s = time.monotonic()
        inner = consumer._thread._consumer
        coordinator = inner and inner._coordinator
        # aiokafka keeps an error of the group for whoever polls next; Faust's way of fetching never asks.
        error = getattr(coordinator, "_pending_exception", None)
        if error is not None:
            raise StuckError(f"the consumer group gave an error that stops it: {error!r}")
        if coordinator is not None and coordinator.generation > 0 and not app.rebalancing:
            self._member_s = now_s
        elif now_s - self._member_s > self._stuck_after_s:
            raise StuckError(f"no assignment from the consumer group for {self._stuck_after_s:g} s")
        waiting = sorted(tp for tp in consumer.assignment() if consumer.handed_over(tp) is None)
        if not waiting:
            self._taken_s = now_s
        elif now_s - self._taken_s > self._stuck_after_s:
            listed = ", ".join(f"{tp.topic}[{tp.partition}]" for tp in waiting)
            raise StuckError(f"assigned and not taken over for {self._stuck_after_s:g} s: {listed}")
        seen = [
            (p, s.counters.inference_read, s.counters.labels_read, s.pending_records)
            for p, s in partitions.items()
        ]
        idle = all(s.caught_up or s.held_by for s in partitions.values())
        if idle or seen != self._seen:
            self._seen, self._moved_s = seen, now_s
        elif now_s - self._moved_s > self._stuck_after_s:
            behind = [p for p, s in partitions.items() if not s.caught_up]
            raise StuckError(f"no progress on partitions {behind} for {self._stuck_after_s:g} s")
