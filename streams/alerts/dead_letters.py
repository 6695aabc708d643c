"""The share of records that could not be used, over the last minutes, of all input partitions together."""

from collections.abc import Mapping

from schemas.findings import AlertEvent, StreamTotals
from streams.alerts.life_cycle import LifeCycle, Occasion, Subject

WINDOW_MS = 5 * 60_000
STEP_MS = 60_000
FEWEST = 10  # a few bad records are in `dead_letters` for who looks; they are no alert


class DeadLetters:
    """Fires while more than a given share is dead-lettered; resolved after a window's length below it."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._totals: dict[int, StreamTotals] = {}
        self._steps: dict[int, tuple[int, int]] = {}  # step's end -> read, dead-lettered
        self._evaluated_ms: int | None = None
        self._below_since_ms: int | None = None
        self.life = LifeCycle(
            Subject(
                alertname="DeadLetters",
                kind="dead_letters",
                rule="dead_letters",
                severity="ticket",
                metric="dead_letter_share",
                threshold=share,
            )
        )

    def absorb(self, totals: StreamTotals) -> None:
        """Take in the running totals of a partition; what is older than the newest known is left aside."""
        known = self._totals.get(totals.partition)
        if known is not None and (totals.epoch, totals.read) < (known.epoch, known.read):
            return
        self._totals[totals.partition] = totals
        # Totals of a new owner may begin at zero; then all that it has is new.
        base = known if known is not None and known.read <= totals.read else None
        read = totals.read - (base.read if base else 0)
        dead = totals.dead_lettered - (base.dead_lettered if base else 0)
        end_ms = totals.time_ms // STEP_MS * STEP_MS + STEP_MS
        if read and (self._evaluated_ms is None or end_ms > self._evaluated_ms - WINDOW_MS):
            before = self._steps.get(end_ms, (0, 0))
            self._steps[end_ms] = (before[0] + read, before[1] + max(0, dead))

    def advance(self) -> list[AlertEvent]:
        """Evaluate the steps that every partition has passed since the last time."""
        if not self._totals:
            return []
        until_ms = min(totals.time_ms for totals in self._totals.values()) // STEP_MS * STEP_MS
        first_ms = (
            min(self._steps, default=until_ms) if self._evaluated_ms is None else self._evaluated_ms + STEP_MS
        )
        # Only for two windows' length after records can anything change: they leave the first, and the
        # second is how long it takes to resolve. A gap may be years of minutes.
        ends_ms = {
            end_ms
            for step_ms in (first_ms - STEP_MS, *self._steps)
            for end_ms in range(max(first_ms, step_ms), min(until_ms, step_ms + 2 * WINDOW_MS) + 1, STEP_MS)
        }
        events: list[AlertEvent] = []
        for end_ms in sorted(ends_ms):
            events += self._evaluate(end_ms, self._steps)
        if self._evaluated_ms is None or until_ms > self._evaluated_ms:
            self._evaluated_ms = until_ms
        self._steps = {end: n for end, n in self._steps.items() if end > self._evaluated_ms - WINDOW_MS}
        return events

    def _evaluate(self, end_ms: int, steps: Mapping[int, tuple[int, int]]) -> list[AlertEvent]:
        inside = [n for end, n in steps.items() if end_ms - WINDOW_MS < end <= end_ms]
        read, dead = sum(n[0] for n in inside), sum(n[1] for n in inside)
        share = dead / read if read else 0.0
        text = f"{dead} of {read} records dead-lettered in 5 min ({share:.1%}; bound {self._share:.1%})"
        occasion = Occasion(
            end_ms - WINDOW_MS, end_ms, end_ms, text, share, {"read": read, "dead_lettered": dead}
        )
        if share > self._share:
            self._below_since_ms = None
            return self.life.fire(occasion) if dead >= FEWEST else []
        if self._below_since_ms is None:
            self._below_since_ms = end_ms
        return self.life.resolve(occasion) if end_ms - self._below_since_ms >= WINDOW_MS else []
