"""One signal away from where it was: whether it is back, has settled, or was never away."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import fsum

from schemas.findings import DriftEvent
from schemas.signals import SignalKey, SignalPane

BACK_PANES = 60  # an hour of panes of a minute, over which a signal is held against both levels
BACK_VALUES = 100
BASELINE_PANES = 1440  # a day: after so many panes without another change the new level is the normal one
BACK_SHARE = 0.25  # of the change
KNOWN_TO = 12.0  # parts of the change: three standard errors are the quarter above
AT_LEAST_SHARE = 0.25  # of a change without interval: in thin traffic one looks up to four times too large
NOTICEABLE = 0.1  # of the change: by so much late labels must move it to be worth an event


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a signal is no longer away, and what it was then."""

    reason: str
    level: float | None
    values: int
    window_start_ms: int
    window_end_ms: int
    back: DriftEvent | None = None  # the change that led back


@dataclass(slots=True)
class Stretch:
    """What the panes of ``[start_ms, end_ms)`` add up to, when the change was found and by now."""

    start_ms: int
    end_ms: int
    found_n: int = 0
    found_total: float = 0.0
    n: int = 0
    total: float = 0.0

    def shift(self) -> float:
        """Return by how much late labels have moved the level; 0.0 where it cannot be said."""
        if not self.found_n or not self.n:
            return 0.0
        return self.total / self.n - self.found_total / self.found_n


class Move:
    """A change of one signal, from when it was found.

    It ends for one of three reasons. ``recovered``: over the newest panes after the change, an hour of them
    or as many as it takes to know the level to a twelfth of the change, it is back within a quarter of the
    change. ``reversed``: a change was found that leads back more than half of the way. ``new baseline``: a
    day of panes without another change.

    The change is taken for as large as it is at least, the near end of its interval: it looks larger than it
    is when it is found, and must not pass for a recovery when it turns out smaller. Of a change half as large
    as that, the quarter is still three standard errors away.
    """

    def __init__(
        self, drift: DriftEvent, at_least: float | None, *, fed_until_ms: int, pane_width_ms: int
    ) -> None:
        self.key = key_of(drift)
        self.drift = drift  # ``before`` is the level before the first change, ``after`` the newest one
        self.window_end_ms = fed_until_ms
        self.ending: Ending | None = None
        self.at_least = nearest(drift) if at_least is None else at_least
        self._width_ms = pane_width_ms
        self._newest: deque[SignalPane] = deque()
        self._then: tuple[Stretch, Stretch] | None = None
        self._found = drift

    @property
    def rose(self) -> bool:
        return self.drift.after > self.drift.before

    @property
    def size(self) -> float:
        return abs(self.drift.after - self.drift.before)

    def leads_back(self, drift: DriftEvent) -> bool:
        """Return whether a later change of the signal is the way back, more than half of it."""
        before, after = self.drift.before, self.drift.after
        other_way = (drift.after > drift.before) != (after > before)
        return other_way and abs(drift.after - before) < abs(drift.after - after)

    def moved_on(self, drift: DriftEvent, at_least: float | None, fed_until_ms: int) -> None:
        """Take in another change while it is away; back still means the level before the first one."""
        self.at_least = max(self.at_least, nearest(drift) if at_least is None else at_least)
        self.drift = self._found = replace(drift, before=self.drift.before)
        self.window_end_ms = fed_until_ms
        self._newest.clear()
        if self._then is not None:
            self._then = (self._then[0], self._after())

    def turned(self, drift: DriftEvent, fed_until_ms: int) -> None:
        """Take in the change that leads back."""
        self.ending = Ending("reversed", drift.after, 0, drift.change_start_ms, fed_until_ms, drift)

    def fed(self, pane: SignalPane) -> Ending | None:
        """Take in the signal's next pane; return the ending if this completes it."""
        drift = self.drift
        if pane.start_ms < drift.change_end_ms or pane.n <= 0:
            return None
        self._newest.append(pane)
        mean, variance, n = self._level()
        enough = max(BACK_VALUES, variance * (KNOWN_TO / self.at_least) ** 2)
        while (
            self._newest[0].end_ms <= pane.end_ms - BACK_PANES * self._width_ms
            and n - self._newest[0].n >= enough
        ):
            self._newest.popleft()
            mean, variance, n = self._level()
        known = n >= enough and pane.end_ms - self._newest[0].start_ms >= BACK_PANES * self._width_ms
        away = (mean - drift.before) * (1.0 if self.rose else -1.0)
        if known and away <= self.at_least * BACK_SHARE:
            reason = "recovered"
        elif pane.end_ms - drift.change_end_ms >= BASELINE_PANES * self._width_ms:
            reason = "new baseline"
        else:
            return None
        self.ending = Ending(reason, mean, n, self._newest[0].start_ms, pane.end_ms)
        self._newest.clear()
        return self.ending

    def followed(self, panes: Iterable[SignalPane]) -> None:
        """Take note of the panes around the change, those that late labels may still revise."""
        day_ms = BASELINE_PANES * self._width_ms
        drift = self.drift
        old = self._then
        before = old[0] if old else Stretch(drift.change_start_ms - day_ms, drift.change_start_ms)
        after = self._after()
        for stretch in (after,) if old else (before, after):
            inside = [pane for pane in panes if stretch.start_ms <= pane.start_ms < stretch.end_ms]
            stretch.found_n = stretch.n = sum(pane.n for pane in inside)
            stretch.found_total = stretch.total = fsum(pane.total for pane in inside)
        self._then = (before, after)

    def revise(self, was: SignalPane, pane: SignalPane) -> bool:
        """Take in a pane that late labels have changed; return whether it lies around the change."""
        touched = False
        for stretch in self._then or ():
            if stretch.start_ms <= pane.start_ms < stretch.end_ms:
                stretch.n += pane.n - was.n
                stretch.total += pane.total - was.total
                touched = True
        return touched

    def by_now(self) -> DriftEvent:
        """Return the change with the labels known by now."""
        if self._then is None:
            return self.drift
        before, after = self._then
        return replace(
            self._found,
            before=self._found.before + before.shift(),
            after=self._found.after + after.shift(),
        )

    def tell_by_now(self) -> None:
        """Take the change for what it is with the labels known by now."""
        self.drift = self.by_now()

    def judged(self) -> str:
        """Return ``gone``, ``changed`` or ``same``: the change by now, against what was told of it."""
        now, told = self.by_now(), self.drift
        size = (now.after - now.before) * (1.0 if self._found.after > self._found.before else -1.0)
        if size < self.at_least * (1 - 1e-9):
            return "gone"
        away = abs((now.after - now.before) - (told.after - told.before))
        return "changed" if away > NOTICEABLE * self.size else "same"

    def _after(self) -> Stretch:
        # A large change is found in the very pane in which it began.
        found_at_once = self.drift.change_end_ms >= self.window_end_ms
        start_ms = self.drift.change_start_ms if found_at_once else self.drift.change_end_ms
        return Stretch(start_ms, self.window_end_ms)

    def _level(self) -> tuple[float, float, int]:
        n = sum(part.n for part in self._newest)
        mean = fsum(part.total for part in self._newest) / n
        return mean, max(0.0, fsum(part.squares for part in self._newest) / n - mean * mean), n


def key_of(drift: DriftEvent) -> SignalKey:
    return SignalKey(drift.signal, drift.segment, drift.feature)  # type: ignore[arg-type]  # text on the wire


def nearest(drift: DriftEvent) -> float:
    """Return how large a change is at least: the end of its interval that is nearest to none."""
    size = abs(drift.after - drift.before)
    low, high = drift.change_low, drift.change_high
    if low is None or high is None or low * high <= 0.0:
        return AT_LEAST_SHARE * size
    return min(abs(low), abs(high), size)
