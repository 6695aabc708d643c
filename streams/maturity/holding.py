"""Panes become mature one by one: those whose labels are late are held, and in the end skipped."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.settings import DAY_MS

HALF = 0.5  # of the labels that were to be expected: with fewer a pane is held
JUDGED_LABELS = 20.0  # expected: a pane of three answers without a label is no outage


@dataclass(frozen=True, slots=True)
class Held:
    """The pane at which the frontier stands because its labels are late."""

    start_ms: int
    end_ms: int
    expected: float  # labels, over as many panes as it takes to expect ``JUDGED_LABELS``
    labelled: int


class Holding:
    """The maturity frontier of one model; it never goes back."""

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self.until_ms: int | None = None
        self.skipped: list[tuple[int, int]] = []
        self.late: list[tuple[int, int]] = []  # panes whose labels were late, skipped ones included
        self.held: Held | None = None
        self._skipping = False  # whether the last pane was skipped
        self._judged: deque[tuple[int, float, int]] = deque()  # start, expected, labelled

    def advance(
        self,
        now_ms: int,
        horizon_ms: int,
        panes: Callable[[int | None, int], Sequence[int]],
        judge: Callable[[int], tuple[float, int]],
    ) -> None:
        """Move on to the panes that are a horizon old, as far as their labels are there.

        Parameters
        ----------
        panes
            Starts of the panes in ``[start, end)``, in order; a start of None is the beginning.
        judge
            Of a pane, how many labels were to be expected in the end, and how many there are.
        """
        target_ms = (now_ms - horizon_ms) // self._width_ms * self._width_ms
        if self.until_ms is not None and target_ms <= self.until_ms:
            return
        if self.held is not None:
            # What came for the panes before the held one counts for it too: it may be all that was missing.
            self._judged = deque((start_ms, *judge(start_ms)) for start_ms, _, _ in self._judged)
        self.held = None
        for start_ms in panes(self.until_ms, target_ms):
            end_ms = start_ms + self._width_ms
            expected, labelled = judge(start_ms)
            if self._late(expected, labelled):
                if now_ms < end_ms + horizon_ms + max(horizon_ms, DAY_MS):
                    self.held = Held(start_ms, end_ms, *self._sums(expected, labelled))
                    self.until_ms = start_ms
                    # Whatever is old enough by now has waited as long.
                    _note(self.late, start_ms, target_ms, joined=self._skipping)
                    return
                _note(self.late, start_ms, end_ms, joined=self._skipping)
                _note(self.skipped, start_ms, end_ms, joined=self._skipping)
                self._skipping = True
            else:
                self._remember(start_ms, expected, labelled)
                self._skipping = False
            self.until_ms = end_ms
        self.until_ms = target_ms

    def forget(self, before_ms: int) -> None:
        """Drop intervals that ended before any pane that is kept."""
        self.skipped = [part for part in self.skipped if part[1] > before_ms]
        self.late = [part for part in self.late if part[1] > before_ms]

    def _late(self, expected: float, labelled: int) -> bool:
        expected, labelled = self._sums(expected, labelled)
        return expected >= JUDGED_LABELS and labelled < HALF * expected

    def _sums(self, expected: float, labelled: int) -> tuple[float, int]:
        for _, more_expected, more_labelled in self._judged:
            if expected >= JUDGED_LABELS:
                break
            expected, labelled = expected + more_expected, labelled + more_labelled
        return expected, labelled

    def _remember(self, start_ms: int, expected: float, labelled: int) -> None:
        self._judged.appendleft((start_ms, expected, labelled))
        total = 0.0
        for i, (_, more, _) in enumerate(self._judged):
            total += more
            if total >= JUDGED_LABELS:
                while len(self._judged) > i + 1:
                    self._judged.pop()
                break


def _note(intervals: list[tuple[int, int]], start_ms: int, end_ms: int, *, joined: bool) -> None:
    """Add an interval; to the last one if it touches it, or if no pane with its labels is between."""
    if intervals and (joined or start_ms <= intervals[-1][1]):
        intervals[-1] = (intervals[-1][0], max(end_ms, intervals[-1][1]))
    else:
        intervals.append((start_ms, end_ms))
