"""What became of the events of one reporter, and a warning about losses once in a while."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

TELL_EVERY_S = 60.0  # a broker that is away must not fill the service's own log

log = logging.getLogger("aftcast.client")


@dataclass(slots=True)
class Counts:
    """Events since the start, or since the process was forked.

    Every event given is ``delivered``, ``dropped`` (queue full, broker away for too long, reporter closed),
    ``refused`` (not expressible as an event) or still waiting. ``features_left_out`` counts features that
    were no finite scalars; their events were sent.
    """

    given: int = 0
    delivered: int = 0
    dropped: int = 0
    refused: int = 0
    features_left_out: int = 0

    @property
    def waiting(self) -> int:
        return self.given - self.delivered - self.dropped - self.refused


class Ledger:
    """Counts from any thread, and tells of losses at most every ``TELL_EVERY_S``."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._counts = Counts()
        self._told = Counts()
        self._told_s = float("-inf")
        self._reason = ""

    def counts(self) -> Counts:
        with self._lock:
            return replace(self._counts)

    def add(self, what: str, reason: str = "", by: int = 1) -> None:
        with self._lock:
            setattr(self._counts, what, getattr(self._counts, what) + by)
            if reason:
                self._reason = reason

    def tell(self, *, at_once: bool = False) -> None:
        """Log what was lost since the last time, if it is time; never called on the caller's thread."""
        now_s = self._now_s()
        if not at_once and now_s - self._told_s < TELL_EVERY_S:
            return
        now, told, reason = self.counts(), self._told, self._reason
        lost = now.dropped - told.dropped, now.refused - told.refused
        left_out = now.features_left_out - told.features_left_out
        if not any(lost) and not left_out:
            return
        self._told, self._told_s = now, now_s
        log.warning(
            "%d events dropped, %d refused, %d features left out, last reason: %s; %d delivered so far",
            *lost, left_out, reason, now.delivered,
        )  # fmt: skip
