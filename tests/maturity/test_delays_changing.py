"""A change of delay curves is told from chance, from restless hours and from a real drop of accuracy."""

import numpy as np
import pytest

from schemas.panes import age_bin, age_edge_ms
from schemas.records import IntArray
from schemas.settings import HOUR_MS
from streams.maturity import Cohort, Slice, changed

UPTO = age_bin(24 * HOUR_MS)
EDGES_H = np.array([age_edge_ms(i) / HOUR_MS for i in range(UPTO + 1)])
WINDOW = 14 * 24  # cohorts that are looked at, as by the worker
CHANGE_H = 14 * 24


def cohorts(
    seed: int,
    weeks: int,
    *,
    right_h: float = 6.0,
    later_right_h: float = 6.0,
    later_error: float = 0.1,
    error_sd: float = 0.03,
    delay_sd: float = 0.0,
    daily_sd: float = 0.0,
    an_hour: int = 300,
) -> list[Cohort]:
    """Hourly cohorts whose labels come exponentially, of right answers after ``right_h``, of wrong after 1 h.

    ``error_sd`` is what error rates of hours differ beyond chance, ``delay_sd`` what the logarithms of their
    mean delays do, ``daily_sd`` those of days; what is ``later`` holds from ``CHANGE_H`` on.
    """
    rng = np.random.default_rng(seed)
    hours = np.arange(weeks * 7 * 24)
    later = hours >= CHANGE_H
    error = np.clip(np.where(later, later_error, 0.1) + error_sd * rng.normal(size=len(hours)), 0.0, 1.0)
    wrong = rng.binomial(an_hour, error)
    slower = np.exp(delay_sd * rng.normal(size=(2, len(hours))))
    slower *= np.exp(daily_sd * rng.normal(size=(2, weeks * 7))).repeat(24, axis=1)
    right_mean_h = np.where(later, later_right_h, right_h) * slower[0]
    wrong_mean_h = slower[1]
    hits = labelled(rng, an_hour - wrong, right_mean_h)
    misses = labelled(rng, wrong, wrong_mean_h)
    return [
        Cohort(int(hour) * HOUR_MS, {"no": an_hour}, {("no", True): hits[hour], ("no", False): misses[hour]})
        for hour in hours
    ]


def labelled(rng: np.random.Generator, answers: IntArray, mean_h: np.ndarray) -> IntArray:
    """Labels by age of each hour's answers; those that come later than the last bin are left out."""
    share = np.diff(1 - np.exp(-EDGES_H / mean_h[:, None]), axis=1, prepend=0.0)
    left = 1 - share.sum(axis=1, keepdims=True)
    found: IntArray = rng.multinomial(answers, np.concatenate([share, left], axis=1))[:, :-1]
    return found


def raised(hourly: list[Cohort], since_h: int, every_h: int) -> list[int]:
    """Return at which hours a change is seen."""
    looks = range(since_h, len(hourly) + 1, every_h)
    return [at for at in looks if changed(Slice(tuple(hourly[max(0, at - WINDOW) : at]), UPTO))]


@pytest.mark.parametrize(("delay_sd", "daily_sd"), [(0.0, 0.0), (0.3, 0.0), (0.1, 0.2)])
def test_restless_hours_and_days_change_delays_in_one_week_of_a_hundred_at_most(
    delay_sd: float, daily_sd: float
) -> None:
    weeks, alarmed = 0, []
    for seed in range(17):  # of seven weeks, six of them looked at: 102 weeks
        hourly = cohorts(seed, weeks=7, delay_sd=delay_sd, daily_sd=daily_sd)
        weeks += 6
        found = raised(hourly, 7 * 24, 12)
        alarmed += sorted({(seed, at // (7 * 24)) for at in found})
    assert len(alarmed) <= weeks / 100, alarmed


@pytest.mark.parametrize("delay_sd", [0.0, 0.3])
def test_right_answers_labelled_half_as_fast_are_seen_within_a_day(delay_sd: float) -> None:
    for seed in range(10):
        hourly = cohorts(seed, weeks=3, later_right_h=12.0, delay_sd=delay_sd)
        assert raised(hourly[:CHANGE_H], 7 * 24, 12) == []
        assert raised(hourly[: CHANGE_H + 24], CHANGE_H, 4) != [], seed


def test_many_more_errors_at_the_same_delays_are_no_change_of_delays() -> None:
    for seed in range(20):
        hourly = cohorts(seed, weeks=3, right_h=12.0, later_right_h=12.0, later_error=0.3)
        pooled = [
            Cohort(c.start_ms, c.answered, {("", True): c.ages["no", True] + c.ages["no", False]})
            for c in hourly
        ]
        assert raised(hourly, CHANGE_H, 6) == []
        assert raised(pooled, CHANGE_H, 6) != [], "one curve of all labels moves with the errors"
