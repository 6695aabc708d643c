"""Whether labels of an outcome come faster or slower than they used to."""

import numpy as np

from schemas.records import IntArray
from schemas.settings import DAY_MS
from streams.maturity.cohorts import Slice
from streams.maturity.horizon import LEAST_LABELS

LEAST_DAYS = 4  # before the last one, between which the usual spread is told
FAR = 5.0  # standard deviations: 6e-7 of a normal one, times some 20 ages, four outcomes and 24 looks a day
FAR_SHARE = 0.05  # of an outcome's labels by an age: less does not harm the nowcast


def changed(cohorts: Slice) -> bool:
    """Return whether the last day's cohorts have a delay curve other than the days before.

    Each outcome is tested on its own: wrong answers are labelled at another pace than right ones, so a curve
    of all labels changes with every real drop of accuracy. At each age the share of the day's labels that had
    come is held against that of the days before, in units of chance and of what those days differ.
    """
    if not cohorts.cohorts:
        return False
    last_ms = cohorts.cohorts[-1].start_ms
    days = np.array([(last_ms - cohort.start_ms) // DAY_MS for cohort in cohorts.cohorts])
    return any(_changed(labels, days) for labels in cohorts.outcomes().values())


def _changed(labels: IntArray, days: IntArray) -> bool:
    by_day = np.array([labels[days == day].sum(axis=0) for day in range(int(days.max()) + 1)])
    n = by_day.sum(axis=1)
    by_day, n = by_day[n >= LEAST_LABELS], n[n >= LEAST_LABELS]
    if len(n) < 1 + LEAST_DAYS or labels[days == 0].sum() < LEAST_LABELS:
        return False
    shares = np.cumsum(by_day, axis=1) / n[:, None]
    before = by_day[1:].sum(axis=0).cumsum() / n[1:].sum()
    chance = np.maximum(before * (1 - before), 1 / n[1:].sum())
    between = ((shares[1:] - before) ** 2 - chance / n[1:, None]).mean(axis=0) * len(n[1:]) / len(n[2:])
    # The spread between a handful of days is itself known to a third: the largest of all ages is taken.
    usual = chance * max(0.0, float((between / chance).max()))
    away = np.abs(shares[0] - before)
    deviation = np.sqrt(chance * (1 / n[0] + 1 / n[1:].sum()) + usual)
    return bool(((away > FAR * deviation) & (away > FAR_SHARE)).any())
