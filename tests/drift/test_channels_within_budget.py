"""Signals keep to their share of the budget, know the usual day, and find what is not usual."""

from zlib import crc32

import numpy as np
import pytest

from schemas.findings import DriftEvent
from schemas.settings import HOUR_MS, MonitorSettings
from schemas.signals import Signal, SignalKey, SignalPane
from streams.drift import Budget, SignalWatch
from streams.drift.baseline import fit, threshold_of
from streams.drift.record import UNIT_MS, Record, Unit, Units
from streams.drift.warm_up import WarmUp

DAY = 96  # quarters
FAMILY = 66


def share_of_budget() -> Budget:
    budget = Budget(1.0)
    for i in range(FAMILY):
        budget.join("1", SignalKey("feature", feature=str(i)))
    return budget


def rates(kind: str, days: int, rng: np.random.Generator) -> np.ndarray:
    hours = np.arange(days * 24)
    if kind == "cyclic":
        by_hour = 0.1 + 0.03 * np.sin(2 * np.pi * hours / 24 + 1)
    elif kind == "overdispersed":
        by_hour = np.clip(0.1 + 0.03 * rng.normal(size=len(hours)), 0.001, 1.0)
    else:
        by_hour = np.full(len(hours), 0.1)
    return np.repeat(by_hour, 4)


def panes(rate: np.ndarray, rng: np.random.Generator, an_hour: float = 400.0) -> list[SignalPane]:
    n = rng.poisson(an_hour / 4, len(rate))
    wrong = rng.binomial(n, rate)
    return [
        SignalPane(SignalKey("error"), i * UNIT_MS, (i + 1) * UNIT_MS, int(a), float(b), float(b))
        for i, (a, b) in enumerate(zip(n, wrong, strict=True))
    ]


def watch(budget: Budget | None = None) -> SignalWatch:
    return SignalWatch("m", "1", "binary", MonitorSettings(), budget or share_of_budget())


def drifts(found: list) -> list[DriftEvent]:
    return [one.drift for one in found]


@pytest.mark.parametrize("kind", ["constant", "cyclic", "overdispersed"])
def test_forty_days_without_a_change_raise_no_alarm_from_the_first_hour_on(kind: str) -> None:
    rng = np.random.default_rng(crc32(kind.encode()))
    assert watch().feed(panes(rates(kind, 40, rng), rng)) == []


@pytest.mark.parametrize("day", [3, 10, 20])
@pytest.mark.parametrize(("kind", "hours"), [("constant", 2.5), ("cyclic", 3.0), ("overdispersed", 12.0)])
def test_a_rise_from_10_to_20_percent_is_found_once_and_its_onset_is_in_the_interval(
    kind: str, hours: float, day: int
) -> None:
    rng = np.random.default_rng(day)
    rate = rates(kind, day + 2, rng)
    at = day * DAY + 37
    rate[at:] += 0.1
    found = drifts(watch().feed(panes(rate, rng)[: at + DAY]))
    assert len(found) == 1
    (drift,) = found
    onset_ms = at * UNIT_MS
    assert onset_ms < drift.detected_at_ms <= onset_ms + hours * HOUR_MS
    assert drift.change_start_ms <= onset_ms <= drift.change_end_ms
    assert drift.change_low is not None
    assert drift.change_high is not None
    assert drift.change_low <= 0.1 <= drift.change_high
    assert drift.after - drift.before == pytest.approx((drift.change_low + drift.change_high) / 2)
    assert drift.detector == ("CUSUM" if day > 14 else drift.detector)


def test_after_a_change_the_new_level_becomes_the_usual_one_and_is_not_told_again() -> None:
    rng = np.random.default_rng(5)
    rate = rates("cyclic", 40, rng)
    rate[20 * DAY :] += 0.1
    (drift,) = drifts(watch().feed(panes(rate, rng)))
    assert drift.before < drift.after


@pytest.mark.parametrize("signal", ["feature", "spread", "missing", "latency", "prediction", "score"])
def test_ranks_that_swing_between_noon_and_midnight_are_usual_and_a_shift_of_them_is_not(
    signal: Signal,
) -> None:
    rng = np.random.default_rng(7)
    key = SignalKey(signal, feature="age" if signal in ("feature", "spread", "missing") else "")
    mean = 0.5 + 0.3 * np.sin(2 * np.pi * np.arange(22 * DAY) / DAY) + 0.02 * rng.normal(size=22 * DAY)
    mean[20 * DAY :] += 0.12
    fed = [
        SignalPane(key, i * UNIT_MS, (i + 1) * UNIT_MS, 100, 100 * m, 100 * (m * m + 0.03))
        for i, m in enumerate(np.clip(mean, 0, 1))
    ]
    (drift,) = drifts(watch().feed(fed))
    assert (drift.signal, drift.feature) == (signal, key.feature)
    assert 20 * DAY * UNIT_MS < drift.detected_at_ms <= (20 * DAY + 12) * UNIT_MS


def test_the_same_panes_give_the_same_events_and_another_model_other_draws() -> None:
    rng = np.random.default_rng(8)
    rate = rates("overdispersed", 17, rng)
    rate[16 * DAY :] += 0.1
    fed = panes(rate, rng)
    assert watch().feed(fed) == watch().feed(fed) != []


def test_scopes_that_nobody_asked_for_are_passed_over() -> None:
    rng = np.random.default_rng(9)
    rate = np.repeat([0.1, 0.6], 10 * DAY)
    fed = [
        SignalPane(SignalKey("error", "a=b"), p.start_ms, p.end_ms, p.n, p.total, p.squares)
        for p in panes(rate, rng)
    ]
    assert watch().feed(fed) == []
    asked = SignalWatch("m", "1", "binary", MonitorSettings(segments=("a=b",)), share_of_budget())
    assert [drift.segment for drift in drifts(asked.feed(fed))] == ["a=b"]


def test_a_larger_family_asks_for_more_evidence() -> None:
    rng = np.random.default_rng(10)
    record = Record()
    for pane in panes(rates("overdispersed", 14, rng), rng):
        record.add(Unit(pane.start_ms, pane.end_ms, pane.n, pane.total, pane.squares))
    levels = [0.1, 0.01, 0.001]
    fitted = [fit(*record.grids(), level, 0.05, seed=1) for level in levels]
    thresholds = [one.threshold for one in fitted if one is not None]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[2] - 1


def test_the_tail_of_a_months_maxima_is_drawn_out_as_an_exponential_one() -> None:
    maxima = 8 + np.random.default_rng(11).exponential(2.0, 4000)
    assert threshold_of(maxima, 0.0005) == pytest.approx(8 - 2 * np.log(0.0005), rel=0.05)


def test_a_few_values_of_which_many_are_wrong_are_not_beyond_chance() -> None:
    # Five of six wrong at 10 %: once in 20,000 draws, and there are 1,344 quarters of an hour.
    one = WarmUp(share_of_budget(), from_the_start=True)
    for i in range(3 * DAY):
        one.update(Unit(i * UNIT_MS, (i + 1) * UNIT_MS, 10, 1.0, 1.0))
    assert not one.update(Unit(3 * DAY * UNIT_MS, (3 * DAY + 1) * UNIT_MS, 6, 5.0, 5.0))


def test_units_are_quarters_of_an_hour_or_panes_that_are_longer() -> None:
    units = Units()
    minute = UNIT_MS // 15
    done = [unit for i in range(40) for unit in units.add(i * minute, (i + 1) * minute, 2, 1.0, 1.0)]
    assert [(unit.start_ms, unit.end_ms, unit.n) for unit in done] == [
        (0, UNIT_MS, 30),
        (UNIT_MS, 2 * UNIT_MS, 30),
    ]
    (hour,) = Units().add(0, HOUR_MS, 5, 1.0, 1.0)
    assert (hour.start_ms, hour.end_ms) == (0, HOUR_MS)


def test_a_quarter_without_panes_is_no_unit_and_ends_the_one_before_it() -> None:
    units = Units()
    assert units.add(0, 60_000, 3, 1.0, 1.0) == []
    (done,) = units.add(5 * UNIT_MS, 5 * UNIT_MS + 60_000, 4, 1.0, 1.0)
    assert (done.start_ms, done.n) == (0, 3)


def test_a_version_that_leaves_gives_its_share_back() -> None:
    budget = Budget(2.0)
    for version in ("1", "2"):
        budget.join(version, SignalKey("error"))
        budget.join(version, SignalKey("error"))
    assert budget.level == 1.0
    budget.leave("1")
    assert budget.level == 2.0
