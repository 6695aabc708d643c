"""Late labels reach the alerts: what was said of a window or a drift is corrected or taken back."""

from typing import Any

from pane_rows import MINUTE_MS, T0, batch, reached, row

from schemas.findings import AlertEvent
from schemas.settings import MonitorSettings, RuleSettings
from streams.monitor import Monitor

RULE = RuleSettings("accuracy-low", "accuracy", below=0.9, window_ms=10 * MINUTE_MS, min_labelled=50)


def watched(wrong_of: Any, minutes: int, rules: tuple[RuleSettings, ...] = (RULE,)) -> tuple[Monitor, list]:
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=5 * MINUTE_MS, rules=rules))
    alerts: list[AlertEvent] = []
    for i in range(minutes):
        monitor.absorb(batch(row(T0 + i * MINUTE_MS, n=100, wrong=wrong_of(i))))
        alerts += monitor.advance([reached(T0 + (i + 1) * MINUTE_MS)]).alerts
    return monitor, alerts


def revised(
    monitor: Monitor, minutes: range, wrong: int, now: int, revision: int = 2, kind: str = "threshold"
) -> list[AlertEvent]:
    rows = (row(T0 + i * MINUTE_MS, n=100, wrong=wrong, revision=revision) for i in minutes)
    monitor.absorb(batch(*rows))
    alerts = monitor.advance([reached(T0 + now * MINUTE_MS)]).alerts
    return [alert for alert in alerts if alert.kind == kind]


def test_windows_that_fired_and_resolved_are_judged_by_the_labels_known_now() -> None:
    monitor, alerts = watched(lambda i: 30 if 30 <= i < 40 else 2, 80)
    fired, resolved = (alert for alert in alerts if alert.kind == "threshold")
    assert [fired.status, resolved.status] == ["firing", "resolved"]
    events = revised(monitor, range(65, 66), 50, 82)
    assert events == []
    (corrected,) = revised(monitor, range(30, 34), 40, 84)
    assert (corrected.status, corrected.corrects) == ("corrected", fired.event_id)
    (again,) = revised(monitor, range(48, 49), 3, 86)
    assert (again.status, again.corrects) == ("corrected", resolved.event_id)
    (retracted,) = revised(monitor, range(30, 40), 2, 88, revision=3)
    assert (retracted.status, retracted.corrects) == ("retracted", fired.event_id)
    assert revised(monitor, range(30, 40), 30, 90, revision=4) == []


def test_a_window_that_late_labels_put_beyond_the_bound_pages_nobody() -> None:
    monitor, alerts = watched(lambda i: 2, 60)
    assert alerts == []
    assert revised(monitor, range(20, 40), 50, 62) == []


def test_a_drift_that_late_labels_take_away_is_retracted() -> None:
    monitor, alerts = watched(lambda i: 30 if i >= 300 else 5, 400, rules=())
    (fired,) = alerts
    assert (fired.status, fired.kind) == ("firing", "drift")
    (retracted,) = revised(monitor, range(300, 395), 5, 401, kind="drift")
    assert (retracted.status, retracted.corrects) == ("retracted", fired.event_id)
    assert monitor.advance([reached(T0 + 402 * MINUTE_MS)]).alerts == ()
