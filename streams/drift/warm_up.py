"""The first fourteen days: whether a signal is further from its earlier days than its hours are by chance."""

from collections import deque

import numpy as np
from scipy.special import stdtrit

from schemas.coded import FloatArray
from schemas.settings import DAY_MS, HOUR_MS
from streams.drift.budget import Budget
from streams.drift.kernels import widest
from streams.drift.record import UNIT_MS, Unit
from streams.drift.spread import ASSUMED, ASSUMED_HOURS, Spread

WARM_UP_DAYS = 14
MONTH_MS = 30 * DAY_MS
# Before a second day has come the hour of the day is no excuse that could be checked; so much is then taken
# for its doing: twice three points.
DAY_SWING = 0.06
LEAST_BEFORE = 4  # units


class WarmUp:
    """Holds the newest 1 to 96 units against the same hours of all earlier days.

    After every unit, windows up to a day are looked at, on two sides, and each look has its part of the level
    (Bonferroni). The windows of one look count once: they share their values, and in simulation looks overlap
    so much that even this leaves most of the level unused. The quantile is Student's, since the spread is
    learnt from few hours.

    Parameters
    ----------
    budget
        Gives the chance of a false alarm within a month.
    from_the_start
        Whether to compare within the first day: for rates of errors. Ranks of features may swing from end to
        end between noon and midnight.
    """

    def __init__(self, budget: Budget, *, from_the_start: bool) -> None:
        self._budget = budget
        self._from_the_start = from_the_start
        self._days_n, self._days_total = np.zeros(24), np.zeros(24)
        self._days = np.zeros(24)
        self._newest: deque[tuple[Unit, float, float]] = deque()  # unit, distance, days it rests on
        self._seen: dict[int, int] = {}  # slot -> day that was counted last
        self._first_ms: int | None = None
        self._spread = Spread()
        self._quantile = (-1.0, 0.0, 0.0)

    def expected(self) -> FloatArray:
        """Return the level by hour of the day, NaN where it is not known; shape (24,)."""
        known = self._days_n > 0
        levels: FloatArray = np.divide(self._days_total, self._days_n, np.full(24, np.nan), where=known)
        return levels

    @property
    def spread(self) -> Spread:
        return self._spread

    def update(self, unit: Unit) -> bool:
        """Take in a unit and return whether the newest ones are beyond what chance makes."""
        while self._newest and self._newest[0][0].end_ms <= unit.start_ms + UNIT_MS - DAY_MS:
            self._settle(self._newest.popleft()[0])
        hour = unit.start_ms // HOUR_MS
        slot = hour % 24
        days = self._days[slot]
        mean = unit.total / unit.n
        apart = mean - self._days_total[slot] / self._days_n[slot] if days else np.nan
        self._newest.append((unit, apart, days))
        # Beyond or not is decided by what was known before this unit.
        beyond = self._beyond_days() if days else self._from_the_start and self._beyond_start()
        self._spread.add(hour, unit.n, unit.total, unit.squares)
        return beyond

    def _settle(self, unit: Unit) -> None:
        day, within_ms = divmod(unit.start_ms, DAY_MS)
        slot = within_ms // HOUR_MS
        self._days_n[slot] += unit.n
        self._days_total[slot] += unit.total
        if self._seen.get(slot) != day:
            self._seen[slot] = day
            self._days[slot] += 1

    def _beyond_days(self) -> bool:
        known = [(unit.n, apart, days) for unit, apart, days in reversed(self._newest) if days]
        table = np.array(known)
        spread = self._spread
        z, _ = widest(
            np.ascontiguousarray(table[:, 0]),
            np.ascontiguousarray(table[:, 1]),
            spread.shared,
            spread.within,
            float(table[:, 2].min()),
            max(1, HOUR_MS // (self._newest[-1][0].end_ms - self._newest[-1][0].start_ms)),
        )
        return abs(z) > self._student(spread.hours)

    def _beyond_start(self) -> bool:
        n = np.array([unit.n for unit, _, _ in self._newest], float)
        total = np.array([unit.total for unit, _, _ in self._newest])
        if len(n) <= LEAST_BEFORE:
            return False
        before_n, before = n.cumsum()[LEAST_BEFORE - 1 : -1], total.cumsum()[LEAST_BEFORE - 1 : -1]
        after_n, after = n.sum() - before_n, total.sum() - before
        apart = np.abs(after / after_n - before / before_n)
        chance = (self._spread.within + apart / 3) * (1 / before_n + 1 / after_n)
        hours_after = np.maximum(1.0, np.arange(len(after_n), 0, -1) * UNIT_MS / HOUR_MS)
        hours_before = np.maximum(1.0, (np.arange(len(before_n)) + LEAST_BEFORE) * UNIT_MS / HOUR_MS)
        shared = max(ASSUMED**2, self._spread.shared) * (1 / hours_before + 1 / hours_after)
        z = self._student(np.inf)
        beyond_swing = apart - DAY_SWING > z * np.sqrt(chance)
        return bool(np.any(beyond_swing & (apart > z * np.sqrt(chance + shared))))

    def _student(self, hours: float) -> float:
        level = self._budget.level
        if self._quantile[:2] != (hours, level):
            looks = 2 * MONTH_MS // UNIT_MS
            self._quantile = (hours, level, -float(stdtrit(min(1e6, hours + ASSUMED_HOURS), level / looks)))
        return self._quantile[2]
