"""Weeks of simulated late labels: the horizon that is learnt, the nowcast, outages and short horizons."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from late_labels import SHAPES, T0, Found, Shape, rms, run

HOUR_MS = 3_600_000


@pytest.mark.parametrize("name", ["errors fast", "errors slow", "30 % never"])
def test_an_hour_s_nowcast_at_its_close_is_as_good_as_promised(name: str) -> None:
    found = run(SHAPES[name], seed=1, days=9, an_hour=2000)
    assert len(found.nowcasts) > 40
    assert rms(found.nowcasts) <= 1.25 * SHAPES[name].target  # a few hours: chance is a sixth of it
    assert rms(found.nowcasts) < rms(found.plain) / 3
    assert np.mean(found.covered) >= 0.88


def test_a_horizon_is_learnt_once_cohorts_are_thrice_as_old_and_not_before() -> None:
    # Right answers: 95 % within 12 h * ln 20 = 36 h.
    found = run(SHAPES["errors fast"], seed=2, days=9, an_hour=300)
    assert found.horizon_h is not None
    assert 36 <= found.horizon_h <= 52
    assert found.learnt_after_h is not None
    assert found.learnt_after_h >= 3 * 36
    assert set(found.states) == {"learning", "ready"}


def test_labels_that_come_once_a_day_are_waited_for_a_day() -> None:
    found = run(SHAPES["daily batch"], seed=3, days=7, an_hour=200)
    assert found.horizon_h is not None
    assert 24 <= found.horizon_h <= 31


def test_labels_that_come_once_a_week_are_not_taken_for_complete_after_a_day() -> None:
    found = run(SHAPES["weekly batch"], seed=3, days=16, an_hour=60)
    assert found.states == {"learning": 16 * 24}


def test_a_model_without_labels_goes_on_learning() -> None:
    found = run(replace(SHAPES["errors fast"], never=1.0), seed=3, days=3, an_hour=60)
    assert (found.states, found.alerts) == ({"learning": 72}, [])


def kinds(found: Found) -> list[str]:
    return [f"{alert.kind} {alert.status}" for alert in found.alerts]


def test_a_configured_horizon_that_nightly_labels_outlast_is_named_with_one_that_would_do() -> None:
    nightly = Shape(("exponential", 1, 0), ("exponential", 12, 0), batch_days=1)
    found = run(nightly, seed=4, days=9, an_hour=300, configured_ms=24 * HOUR_MS)
    assert kinds(found)[0] == "horizon_too_short firing"
    assert set(kinds(found)) <= {"horizon_too_short firing", "horizon_too_short corrected"}
    assert found.alerts[0].timestamp_ms - T0 <= 3 * 24 * HOUR_MS
    assert found.states["horizon_too_short"] > 6 * 24


@pytest.mark.parametrize("name", ["errors fast", "errors slow"])
def test_a_horizon_of_a_day_that_sees_86_percent_of_the_labels_is_not_complained_about(name: str) -> None:
    found = run(SHAPES[name], seed=5, days=6, an_hour=400, swing=0.9, configured_ms=24 * HOUR_MS)
    assert found.alerts == []
    assert set(found.states) == {"ready"}
