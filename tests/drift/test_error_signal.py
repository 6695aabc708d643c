"""What detectors are fed of mature panes raises no false alarm, finds true changes and places them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.findings import DriftEvent
from schemas.settings import DetectorSettings, MonitorSettings
from schemas.signals import SignalKey, SignalPane
from streams.drift import Budget, SignalWatch, make_detector
from streams.drift.era import RATE_DEFAULTS
from streams.drift.errors import MOST_VALUES, AbsoluteErrors, WrongAnswers, interleaved
from streams.drift.history import MOST_STRETCHES, History

MINUTE_MS = 60_000
DAY = 1440
HORIZON_MS = 30 * MINUTE_MS


def answers(n: int, wrong: int, at: int = 0) -> SignalPane:
    span = at * MINUTE_MS, (at + 1) * MINUTE_MS
    return SignalPane(SignalKey("error"), *span, n, float(wrong), float(wrong))


def errors(values: np.ndarray, at: int = 0) -> SignalPane:
    span = at * MINUTE_MS, (at + 1) * MINUTE_MS
    return SignalPane(
        SignalKey("error"), *span, len(values), float(np.abs(values).sum()), float((values**2).sum())
    )


def signal(task: str = "binary", detectors: tuple[DetectorSettings, ...] | None = None) -> SignalWatch:
    settings = MonitorSettings() if detectors is None else MonitorSettings(detectors=detectors)
    return SignalWatch("m", "1", task, settings, Budget(1.0))


def feed(one: SignalWatch, panes: list[SignalPane]) -> list[DriftEvent]:
    timed = [replace(p, start_ms=i * MINUTE_MS, end_ms=(i + 1) * MINUTE_MS) for i, p in enumerate(panes)]
    return [found.drift for found in one.feed(timed, HORIZON_MS)]


def traffic(rng: np.random.Generator, panes: int, a_minute: float) -> np.ndarray:
    """Poisson with a day's rhythm: ten times as much by day as by night."""
    return rng.poisson(a_minute * (1 + 0.9 * np.sin(2 * np.pi * np.arange(panes) / DAY)))


def constant(seed: int, panes: int, a_minute: float, rates: np.ndarray | float) -> list[SignalPane]:
    rng = np.random.default_rng(seed)
    counts = traffic(rng, panes, a_minute)
    return [answers(int(n), int(wrong)) for n, wrong in zip(counts, rng.binomial(counts, rates), strict=True)]


@given(st.integers(0, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_interleaving_keeps_the_count_and_spreads_it_evenly(case: tuple[int, int]) -> None:
    n, ones = case
    values = np.array(interleaved(ones, n))
    assert len(values) == n
    assert values.sum() == ones
    line = np.arange(1, n + 1) * ones / max(n, 1)
    assert np.all(np.abs(values.cumsum() - line) <= 0.5 + 1e-9)


def test_a_busy_pane_is_stood_for_by_fewer_values_whose_rounding_is_carried_on() -> None:
    source = WrongAnswers()
    fed = [source.feed(answers(3000, 100, i)) for i in range(30)]
    assert all(len(one.values) == MOST_VALUES for one in fed)
    assert sum(sum(one.values) for one in fed) == pytest.approx(30 * MOST_VALUES / 30, abs=0.5)
    assert all(one.n == 3000 and one.total == 100 for one in fed)


@pytest.mark.parametrize(("a_minute", "days", "rate"), [(6.6, 14, 0.1), (6.6, 14, 0.5), (100.0, 2, 0.1)])
def test_a_constant_error_rate_raises_no_alarm(a_minute: float, days: int, rate: float) -> None:
    assert feed(signal(), constant(1, days * DAY, a_minute, rate)) == []


def test_page_hinkley_as_river_sets_it_up_would_alarm_every_day() -> None:
    def alarms(parameters: dict[str, float]) -> int:
        detector = make_detector("PageHinkley", parameters)
        fed = (WrongAnswers().feed(pane) for pane in constant(1, 3 * DAY, 100.0, 0.1))
        return sum(detector.update(value) for one in fed for value in one.values)

    assert alarms({"delta": 0.005, "threshold": 50.0, "alpha": 0.9999}) >= 3
    assert alarms(RATE_DEFAULTS["PageHinkley"]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_rise_is_found_in_five_quarters_named_once_and_placed_to_minutes(seed: int) -> None:
    at = 3 * DAY + 600
    rates = np.where(np.arange(at + DAY) < at, 0.1, 0.2)
    (drift,) = feed(signal(), constant(seed, at + DAY // 4, 20.0, rates[: at + DAY // 4]))
    assert drift.signal == "error"
    assert drift.detector in ("ADWIN", "PageHinkley")
    assert at * MINUTE_MS < drift.detected_at_ms - HORIZON_MS <= (at + 75) * MINUTE_MS
    assert drift.change_start_ms <= at * MINUTE_MS <= drift.change_end_ms
    assert drift.change_end_ms - drift.change_start_ms <= 90 * MINUTE_MS
    assert drift.before == pytest.approx(0.1, abs=0.02)
    assert drift.after > 0.15  # it may look larger than it is: that is why it was found then


def test_a_rise_and_a_fall_are_two_events() -> None:
    steps = np.repeat([0.05, 0.25, 0.05], 400)
    rise, fall = feed(signal(), constant(4, len(steps), 50.0, steps))
    assert rise.before < rise.after
    assert fall.before > fall.after
    assert fall.change_start_ms <= 800 * MINUTE_MS <= fall.change_end_ms
    assert fall.change_end_ms - fall.change_start_ms <= 60 * MINUTE_MS
    assert fall.before == pytest.approx(0.25, abs=0.02)


def test_detectors_that_agree_make_one_event_until_a_new_baseline_stands() -> None:
    # Up by steps within the settling: the later ones belong to the change that was told.
    steps = np.concatenate([np.full(200, 0.05), np.full(10, 0.3), np.full(10, 0.5), np.full(300, 0.7)])
    both = (
        DetectorSettings("ADWIN", {"clock": 1}),
        DetectorSettings("PageHinkley"),
        DetectorSettings("HDDMA"),
    )
    assert len(feed(signal(detectors=both), constant(2, len(steps), 200.0, steps))) == 1


def test_panes_without_labels_are_passed_over() -> None:
    one = signal()
    assert one.feed([answers(0, 0)]) == []


@pytest.mark.parametrize("draw", ["normal", "lognormal"])
def test_absolute_errors_of_a_steady_regression_raise_no_alarm(draw: str) -> None:
    rng = np.random.default_rng(7)
    counts = traffic(rng, 7 * DAY, 20.0)
    panes = [errors(getattr(rng, draw)(0.0, 1.0, int(n))) for n in counts]
    assert feed(signal("regression"), panes) == []


@pytest.mark.parametrize("factor", [1.5, 0.6])
def test_a_change_of_absolute_errors_is_found_within_an_hour_and_placed(factor: float) -> None:
    rng = np.random.default_rng(8)
    panes = [errors(rng.normal(0, factor if i >= 900 else 1.0, 60)) for i in range(1500)]
    (drift,) = feed(signal("regression"), panes)
    assert 900 * MINUTE_MS < drift.detected_at_ms - HORIZON_MS <= 960 * MINUTE_MS
    assert abs(drift.change_start_ms - 900 * MINUTE_MS) <= 5 * MINUTE_MS
    assert drift.after / drift.before == pytest.approx(factor, rel=0.1)


def test_one_wild_error_is_no_drift() -> None:
    rng = np.random.default_rng(9)
    panes = [errors(rng.normal(0, 1, 60)) for _ in range(1000)]
    panes[700] = errors(np.append(rng.normal(0, 1, 59), 1e9))
    assert feed(signal("regression"), panes) == []


def test_a_model_that_was_never_wrong_scores_any_error_as_worse() -> None:
    source = AbsoluteErrors()
    for i in range(60):
        source.feed(errors(np.zeros(30), i))
    same, worse = source.feed(errors(np.zeros(30), 60)), source.feed(errors(np.ones(30), 61))
    assert same is not None
    assert worse is not None
    assert (same.values, worse.values) == ((0.5,), (1.0,))


def test_detectors_of_binary_values_sit_a_regression_out() -> None:
    rng = np.random.default_rng(8)
    panes = [errors(rng.normal(0, 3.0 if i >= 900 else 1.0, 60)) for i in range(1100)]
    assert feed(signal("regression", (DetectorSettings("EDDM"),)), panes) == []


def test_a_long_history_keeps_its_sums_and_its_order_in_bounded_room() -> None:
    source, history = WrongAnswers(), History()
    panes = 3 * MOST_STRETCHES
    for i in range(panes):
        fed = source.feed(answers(10, 1 if i < panes - 500 else 5, i))
        history.append(fed.start_ms, fed.end_ms, fed.total, fed.squares, fed.n)
    placed = history.place()
    assert placed.start_ms <= (panes - 500) * MINUTE_MS <= placed.end_ms
    assert placed.end_ms - placed.start_ms <= 6 * MINUTE_MS
    assert (placed.before, placed.after) == pytest.approx((0.1, 0.5))
    error = (0.25 / 5000 + 0.09 / (10 * panes - 5000)) ** 0.5
    assert placed.at_least == pytest.approx(0.4 - 2 * error)
    assert (placed.low, placed.high) == pytest.approx((0.4 - 1.96 * error, 0.4 + 1.96 * error))
    assert len(history._stretches) <= MOST_STRETCHES
