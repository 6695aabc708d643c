"""The usual week of a signal: its level by the hour of the day, and from six weeks on of the week."""

from dataclasses import dataclass
from math import log

import numpy as np

from schemas.coded import FloatArray
from schemas.records import IntArray
from schemas.settings import DAY_MS, HOUR_MS
from streams.drift.kernels import Grid, chance_maxima
from streams.drift.record import Unit

WEEKLY_DAYS = 42
# Two weeks show little of how wild a signal can be: residuals count for more than they are, until six weeks.
# At 1.5 a rise from 10 to 20 % takes half an hour longer to show, at 1.2 the level is met with no margin.
EARLY_SCALE = 1.3
MONTH_DAYS = 30
DRAWS = 400
TAIL_SHARE = 0.15  # of the draws: what is beyond is taken for exponential, as a CUSUM's maximum is
# Of a month's chance climbs. A threshold below this would rest on a history without any luck.
LEAST_THRESHOLD = 6.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is expected of each hour, how far units lie from it, and how high a CUSUM climbs by chance."""

    levels: FloatArray  # by slot, NaN where nothing is known; shape (24,) or (168,)
    within: float  # variance of one value about its hour
    shared: float  # variance that the values of an hour have in common
    per_hour: int  # units
    hourly: FloatArray  # mean residuals of the history's hours, sorted: what ranks are taken from
    threshold: float

    def residual(self, unit: Unit) -> float:
        """Return how far a unit lies from what is expected; NaN where nothing is."""
        return unit.total / unit.n - float(self.levels[slot_of(unit.start_ms, len(self.levels))])

    def variance(self, n: float) -> float:
        # Units of an hour have its luck in common: together they count as one draw of it.
        return self.shared * self.per_hour + self.within / n

    def rank(self, residual: float) -> float:
        """Return the share of the history's hours with a lower mean residual, in [0, 1]."""
        low, high = (np.searchsorted(self.hourly, residual, side) for side in ("left", "right"))
        return float(low + high) / 2 / len(self.hourly)


def slot_of(start_ms: int, slots: int) -> int:
    return start_ms // HOUR_MS % slots


def fit(days: list[int], grids: Grid, level: float, smallest: float, seed: int) -> Baseline | None:
    """Return the baseline of a history, or None of one that has too few hours with values.

    Parameters
    ----------
    days, grids
        Numbers of the days since 1970 and their units, shape ``(days, 3, units)``: n, total, squares.
    level
        Chance of a false alarm within thirty days.
    smallest
        Change worth an alert; half of it is the allowance.
    seed
        Of the bootstrap's draws: the same history has the same threshold.

    Notes
    -----
    Moving-block bootstrap (Kuensch, 1989): blocks of two days below six weeks, so that a weekend stays in one
    piece; of a day, drawn among equal weekdays, beyond. Each draw estimates the baseline anew from a drawn
    past, and walks through a drawn month; so the threshold knows the baseline's own error.
    """
    n, total, squares = (grids[:, i].astype(np.float64) for i in range(3))
    weekly = len(days) >= WEEKLY_DAYS
    n_slots = 168 if weekly else 24
    units = n.shape[1]
    per_hour = max(1, units * HOUR_MS // DAY_MS)
    starts = np.array(days)[:, None] * DAY_MS + np.arange(units) * (DAY_MS // units)
    slots = starts // HOUR_MS % n_slots
    known = n > 0
    if known.sum() < 2 * per_hour * 24:
        return None
    mean = np.divide(total, n, np.zeros_like(n), where=known)
    within, hourly = _within(n, total, squares, per_hour)
    # First with weights of chance alone, then with what the hours were found to have in common.
    shared = 0.0
    for _ in range(2):
        weights = np.where(known, 1.0 / (shared * per_hour + within / np.maximum(n, 1.0)), 0.0)
        levels = _levels(weights, mean, slots, n_slots)
        shared = _shared(hourly, levels, np.array(days), within, smallest)
    residuals = np.where(known, mean - np.nan_to_num(levels)[slots], 0.0)
    variances = np.where(known, shared * per_hour + within / np.maximum(n, 1.0), np.inf)
    per_slot = max(2.0, len(days) / (7 if weekly else 1))
    weeks = min(6.0, max(2.0, len(days) / 7))
    scale = (EARLY_SCALE - (EARLY_SCALE - 1.0) * (weeks - 2.0) / 4.0) * np.sqrt(per_slot / (per_slot - 1.0))
    past, future = _draws(len(days), np.array(days), weekly, np.random.default_rng(seed))
    maxima = chance_maxima(residuals, variances, slots, past, future, n_slots, float(scale), smallest)
    return Baseline(
        levels,
        within,
        shared,
        per_hour,
        np.sort(_apart(hourly, levels, np.array(days))[hourly[0] > 0]),
        threshold_of(maxima, level),
    )


def threshold_of(maxima: FloatArray, level: float) -> float:
    """Return what a month's maximum exceeds with this chance: observed, or its tail drawn out.

    Examples
    --------
    >>> import numpy as np
    >>> uniform = (np.arange(400) + 0.5) / 400
    >>> round(threshold_of(10 - np.log(1 - uniform), 0.001), 1)
    16.9
    """
    start = float(np.quantile(maxima, 1.0 - TAIL_SHARE))
    beyond = maxima[maxima > start] - start
    excess = float(beyond.mean()) if len(beyond) else 0.0
    return max(LEAST_THRESHOLD, start + excess * log(TAIL_SHARE / min(level, TAIL_SHARE)))


def _levels(weights: FloatArray, mean: FloatArray, slots: IntArray, n_slots: int) -> FloatArray:
    at = slots.ravel()
    weight = np.bincount(at, weights.ravel(), n_slots)
    summed = np.bincount(at, (weights * mean).ravel(), n_slots)
    levels: FloatArray = np.divide(summed, weight, np.full(n_slots, np.nan), where=weight > 0)
    return levels


def _within(
    n: FloatArray, total: FloatArray, squares: FloatArray, per_hour: int
) -> tuple[float, tuple[FloatArray, FloatArray]]:
    """Return the variance of one value, and the hours' n and means, shape ``(days, hours)``."""
    shape = (len(n), n.shape[1] // per_hour, per_hour)
    n_h, t_h, s_h = (part.reshape(shape).sum(2) for part in (n, total, squares))
    mean_h = np.divide(t_h, n_h, np.zeros_like(n_h), where=n_h > 0)
    freedom = np.maximum(n_h - 1, 0).sum()
    within = np.maximum(s_h - t_h * mean_h, 0.0).sum() / freedom if freedom else 0.0
    return max(float(within), 1e-6), (n_h, mean_h)


def _shared(
    hourly: tuple[FloatArray, FloatArray], levels: FloatArray, days: IntArray, within: float, smallest: float
) -> float:
    n = hourly[0]
    slots = _hour_slots(hourly, levels, days)
    known = n > 0
    apart = np.where(known, _apart(hourly, levels, days), 0.0)
    chance = within / np.maximum(n, 1.0)
    weights = np.where(known, (chance + smallest**2) ** -2, 0.0)
    counts = np.bincount(slots.ravel(), known.ravel(), len(levels))[slots]
    lost = np.where(counts > 1, counts / np.maximum(counts - 1, 1), 1.0)
    found = float((weights * (apart**2 * lost - chance)).sum() / weights.sum())
    # Never none at all: a busy model would take a tenth of a point for a change.
    return max(found, (smallest / 20) ** 2)


def _hour_slots(hourly: tuple[FloatArray, FloatArray], levels: FloatArray, days: IntArray) -> IntArray:
    hours = hourly[0].shape[1]
    slots: IntArray = (days[:, None] * 24 + np.arange(hours) * 24 // hours) % len(levels)
    return slots


def _apart(hourly: tuple[FloatArray, FloatArray], levels: FloatArray, days: IntArray) -> FloatArray:
    apart: FloatArray = hourly[1] - np.nan_to_num(levels)[_hour_slots(hourly, levels, days)]
    return apart


def _draws(m: int, days: IntArray, weekly: bool, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    if weekly:
        weekdays = [np.flatnonzero(days % 7 == k) for k in range(7)]
        past = np.stack([rng.choice(weekdays[day % 7], DRAWS) for day in days], 1)
        future = np.stack([rng.choice(weekdays[k % 7], DRAWS) for k in range(MONTH_DAYS)], 1)
        return past, future
    starts = rng.integers(0, m, (DRAWS, (m + MONTH_DAYS + 2) // 2))
    blocks = np.stack([starts, (starts + 1) % m], 2).reshape(DRAWS, -1)
    return np.ascontiguousarray(blocks[:, :m]), np.ascontiguousarray(blocks[:, m : m + MONTH_DAYS])
