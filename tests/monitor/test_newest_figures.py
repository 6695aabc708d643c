"""The newest hour of each version equals that window's row of model_quality, closed or mature."""

import pytest
from pane_rows import MINUTE_MS, T0, batch, reached, row

from schemas.settings import HOUR_MS, MonitorSettings
from streams.monitor import Monitor


def test_gauges_are_those_of_the_newest_closed_and_the_newest_mature_hour() -> None:
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=30 * MINUTE_MS))
    assert list(monitor.newest_figures()) == []
    for i in range(180):
        labelled = 50 if i < 150 else 10
        old = row(T0 + i * MINUTE_MS, n=100, labelled=labelled, wrong=5 if i < 100 else 10, failures=20)
        monitor.absorb(batch(old, row(T0 + i * MINUTE_MS, model="price", n=i)))
    monitor.advance([reached(T0 + 180 * MINUTE_MS)])
    fraud, price = monitor.newest_figures()
    assert (fraud.model, fraud.model_version, fraud.predictions) == ("fraud", "1", 6_000)
    assert (price.model, price.predictions) == ("price", sum(range(120, 180)))
    closed = monitor.figures("fraud", "1", "", T0 + 2 * HOUR_MS, T0 + 3 * HOUR_MS)
    mature = monitor.figures("fraud", "1", "", T0 + 90 * MINUTE_MS, T0 + 150 * MINUTE_MS)
    assert mature["is_mature"]
    assert not closed["is_mature"]
    assert fraud.values["aftcast_model_predictions_per_second"] == closed["predictions_per_s"] == 100 / 60
    assert fraud.values["aftcast_model_success_ratio"] == closed["success_rate"] == pytest.approx(0.8)
    # Of the hour whose labels have come: the half of a window in which every tenth is wrong.
    assert fraud.values["aftcast_model_accuracy_ratio"] == mature["accuracy"]
    assert fraud.values["aftcast_model_accuracy_ratio"] == pytest.approx(1 - (10 * 5 + 50 * 10) / 3_000)
    assert fraud.values["aftcast_model_coverage_ratio"] == mature["coverage"] == pytest.approx(50 / 80)
    assert "aftcast_model_relative_error_ratio" not in fraud.values
