"""How small a change of the error rate the traffic of one model version can prove."""

from collections import deque

from schemas.findings import Task
from schemas.settings import DAY_MS, HOUR_MS
from schemas.signals import SignalKey, SignalPane
from streams.drift import Budget, provable_change

ERRORS = SignalKey("error")
KEPT_HOURS = 7 * 24  # a whole week: its Sundays too


class Provable:
    """Labelled pairs and errors of the newest seven days of mature panes, and what they can prove.

    The figure is looked up anew when as much event time again has matured as it rests on, at most a day; in
    between it stands still, so that states are not told for it. It goes by panes, not by when it is asked.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._hours: deque[tuple[int, int, float]] = deque()  # number of the hour, pairs, errors among them
        self._first_ms: int | None = None
        self._end_ms = 0
        self._due_ms = 0  # when it is looked up next
        self._change: float | None = None

    def fed(self, pane: SignalPane, task: Task) -> None:
        """Take in the next mature pane; only errors of all traffic count, and only of classes."""
        if pane.key != ERRORS or task == "regression" or pane.n <= 0:
            return
        if self._first_ms is None:
            self._first_ms = pane.start_ms
        self._end_ms = pane.end_ms
        hour = pane.start_ms // HOUR_MS
        n, wrong = pane.n, pane.total
        if self._hours and self._hours[-1][0] == hour:
            _, n_before, wrong_before = self._hours.pop()
            n, wrong = n + n_before, wrong + wrong_before
        self._hours.append((hour, n, wrong))
        while self._hours[0][0] <= hour - KEPT_HOURS:
            self._hours.popleft()
        if self._end_ms >= self._due_ms:
            self._look()

    def change(self, task: Task) -> float | None:
        """Return the smallest rise that a day proves; None for regressions and while nothing is mature."""
        return None if task == "regression" else self._change

    def _look(self) -> None:
        assert self._first_ms is not None  # noqa: S101
        span_ms = self._end_ms - max(self._first_ms, self._hours[0][0] * HOUR_MS)
        n = sum(pairs for _, pairs, _ in self._hours)
        # Half an error more: a first minute without any would pass for a model that is never wrong.
        error_rate = (sum(wrong for _, _, wrong in self._hours) + 0.5) / (n + 1)
        self._change = provable_change(error_rate, n * DAY_MS / span_ms, self._budget.level)
        self._due_ms = self._end_ms + min(DAY_MS, span_ms)
