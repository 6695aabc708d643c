"""A model's state says how small a rise of its error rate a day of its labels can prove."""

import numpy as np
import pytest
from pane_rows import HOUR_MS, T0, batch, numbers, reached, row

from schemas.findings import ModelState
from schemas.settings import MonitorSettings
from streams.drift import provable_change
from streams.monitor import Monitor

DAY_MS = 24 * HOUR_MS
QUARTER_MS = HOUR_MS // 4
PLAIN = MonitorSettings(pane_width_ms=QUARTER_MS, maturity_horizon_ms=HOUR_MS, false_alarms_per_month=0.5)


def states(days: float, n: int = 40, wrong: int = 4, settings: MonitorSettings = PLAIN) -> list[ModelState]:
    """Return what is told hour by hour of a model with the same few answers in each quarter."""
    monitor, told = Monitor(settings), []
    for hour in range(round(days * 24)):
        starts = [T0 + hour * HOUR_MS + i * QUARTER_MS for i in range(4)]
        monitor.absorb(batch(*(row(start, n=n, wrong=wrong) for start in starts)))
        told += monitor.advance([reached(T0 + (hour + 1) * HOUR_MS)]).states
    return told


def test_it_is_the_bound_for_a_days_pairs_the_error_rate_and_the_level_of_the_budget() -> None:
    # The error alone is watched: panes have no ages, scores or latencies, and classes join after a day.
    told = states(0.75)
    bound = provable_change(0.1, 40 * 96, 0.5)
    assert told[-1].provable_change == pytest.approx(bound, rel=0.03)
    assert bound > 0.01


def test_more_signals_share_the_budget_and_leave_less_to_prove_with() -> None:
    joined = states(3.0)[-1].provable_change  # the predicted classes are watched too by then
    assert joined == pytest.approx(provable_change(0.1, 40 * 96, 0.25), rel=0.01)


def test_nothing_is_said_while_nothing_is_mature() -> None:
    told = states(0.5, settings=MonitorSettings(pane_width_ms=QUARTER_MS, maturity_horizon_ms=DAY_MS))
    assert told
    assert {state.provable_change for state in told} == {None}


def test_a_model_without_any_error_so_far_does_not_pass_for_one_that_is_never_wrong() -> None:
    early = next(state for state in states(1.0, n=2, wrong=0) if state.provable_change is not None)
    assert early.provable_change is not None
    assert early.provable_change > 0.03


def test_it_stands_still_within_a_day_and_follows_a_weeks_traffic() -> None:
    told = states(9.0)
    assert len({state.provable_change for state in told}) <= 6 + 1 + 9  # doublings of the first day, days
    monitor, last = Monitor(PLAIN), None
    for day in range(16):
        starts = [T0 + day * DAY_MS + i * QUARTER_MS for i in range(96)]
        n = 40 if day < 7 else 160
        monitor.absorb(batch(*(row(start, n=n, wrong=n // 10) for start in starts)))
        last = [*monitor.advance([reached(T0 + (day + 1) * DAY_MS)]).states, last][0]
    assert last is not None
    assert last.provable_change == pytest.approx(provable_change(0.1, 160 * 96, 0.25), rel=0.01)


def test_hour_by_hour_and_all_at_once_come_to_the_same() -> None:
    monitor = Monitor(PLAIN)
    rows = [row(T0 + i * QUARTER_MS, n=40, wrong=4) for i in range(3 * 96)]
    monitor.absorb(batch(*rows))
    (at_once,) = monitor.advance([reached(T0 + 3 * DAY_MS)]).states
    assert at_once.provable_change == states(3.0)[-1].provable_change is not None


def test_a_regression_has_none() -> None:
    rng, monitor = np.random.default_rng(1), Monitor(PLAIN)
    rows = [numbers(T0 + i * QUARTER_MS, rng.normal(0, 1.0, 50)) for i in range(96)]
    monitor.absorb(batch(*rows))
    told = monitor.advance([reached(T0 + 2 * DAY_MS)]).states
    assert {(state.task, state.provable_change) for state in told} == {("regression", None)}
