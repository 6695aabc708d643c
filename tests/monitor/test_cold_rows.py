"""Rows of the cold join in stage 2: they replace what partitions had counted, and are no partition."""

from pane_rows import MINUTE_MS, T0, batch, reached, row

from schemas.findings import AlertEvent
from schemas.settings import MonitorSettings, RuleSettings
from streams.monitor import Monitor
from streams.monitor.store import PaneStore

RULE = RuleSettings("accuracy-low", "accuracy", below=0.9, window_ms=10 * MINUTE_MS, min_labelled=50)
COLD_REVISION = (1 << 63) + 123_456


def watched(minutes: int) -> tuple[Monitor, list[AlertEvent]]:
    """Two partitions of which one had labels only for its wrong answers."""
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=5 * MINUTE_MS, rules=(RULE,)))
    alerts: list[AlertEvent] = []
    for i in range(minutes):
        wrong = 30 if 30 <= i < 40 else 2
        monitor.absorb(
            batch(
                row(T0 + i * MINUTE_MS, n=100, labelled=100, wrong=wrong),
                row(T0 + i * MINUTE_MS, n=100, labelled=0, partition=1),
            )
        )
        alerts += monitor.advance([reached(T0 + (i + 1) * MINUTE_MS)]).alerts
    return monitor, alerts


def cold(minutes: range, wrong: int, revision: int = COLD_REVISION) -> list[dict[str, object]]:
    rows = []
    for i in minutes:
        start_ms = T0 + i * MINUTE_MS
        rows.append(row(start_ms, n=200, wrong=wrong, partition=-1, revision=revision))
        rows += [row(start_ms, partition=p, revision=revision) for p in (0, 1)]
    return rows


def test_a_window_is_judged_again_by_what_late_labels_made_of_its_panes() -> None:
    monitor, alerts = watched(80)
    fired = next(alert for alert in alerts if alert.kind == "threshold")
    monitor.absorb(batch(*cold(range(20, 50), 4)))
    found = [a for a in monitor.advance([reached(T0 + 81 * MINUTE_MS)]).alerts if a.kind == "threshold"]
    assert (found[0].status, found[0].corrects) == ("retracted", fired.event_id)


def test_hot_rows_that_are_sent_again_do_not_come_back() -> None:
    monitor, _ = watched(80)
    monitor.absorb(batch(*cold(range(20, 50), 4)))
    monitor.advance([reached(T0 + 81 * MINUTE_MS)])
    again = [row(T0 + i * MINUTE_MS, n=100, wrong=90, revision=(1 << 62) + 5) for i in range(20, 50)]
    monitor.absorb(batch(*again))
    assert [a for a in monitor.advance([reached(T0 + 82 * MINUTE_MS)]).alerts if a.kind == "threshold"] == []


def test_progress_is_complete_without_a_partition_of_the_cold_join() -> None:
    monitor, _ = watched(20)
    before = monitor.mature_until_ms()
    monitor.absorb(batch(*cold(range(5, 10), 4)))
    monitor.advance([reached(T0 + 21 * MINUTE_MS)])
    assert monitor.mature_until_ms()["fraud"] == before["fraud"] + MINUTE_MS


def test_rows_of_panes_that_were_dropped_long_ago_are_left_aside() -> None:
    store = PaneStore(MINUTE_MS, None, histograms=True)
    store.absorb(batch(*cold(range(10), 4, revision=7)))
    store.drop("fraud", T0 + 8 * MINUTE_MS)
    store.absorb(batch(*cold(range(10), 9)))
    ((_, _, series),) = store.versions()
    assert series.starts == [T0 + 8 * MINUTE_MS, T0 + 9 * MINUTE_MS]
    assert series.window(T0, T0 + 10 * MINUTE_MS).counts["hits"] == 2 * (200 - 9)
