"""A rule on the nowcast fires on young windows, and is judged by the truth when they mature."""

from pane_rows import MINUTE_MS, T0, batch, reached, row

from schemas.findings import AlertEvent
from schemas.settings import MonitorSettings, RuleSettings
from streams.drift import Frontier
from streams.monitor.maintenance import Maintenance
from streams.monitor.store import PaneStore
from streams.monitor.thresholds import Figures, Thresholds

RULE = RuleSettings(
    "early", "accuracy", below=0.9, window_ms=10 * MINUTE_MS, min_labelled=50, on="nowcast", severity="page"
)


def test_it_fires_before_the_window_is_mature_and_is_retracted_when_it_was_wrong() -> None:
    settings = MonitorSettings(maturity_horizon_ms=60 * MINUTE_MS, rules=(RULE,))
    thresholds, frontier, store = (
        Thresholds(settings),
        Frontier(settings),
        PaneStore(60_000, None, histograms=False),
    )

    def row_of(model: str, version: str, segment: str, start_ms: int, end_ms: int) -> Figures:
        mature = end_ms <= frontier.mature_until_ms(model)
        told = 0.97 if mature else 0.8 if start_ms >= T0 + 30 * MINUTE_MS else None
        figures: Figures = {"labelled": 500, "predictions": 500, "failures": 0, "coverage": 1.0}
        figures |= dict.fromkeys(("accuracy", "accuracy_nowcast"), told)
        figures |= dict.fromkeys(("accuracy_nowcast_low", "accuracy_nowcast_high"), told)
        return figures | {"is_mature": mature}

    events: list[AlertEvent] = []
    for i in range(120):
        if i < 50:
            store.absorb(batch(row(T0 + i * MINUTE_MS, n=100)))
        frontier.advance([reached(T0 + (i + 1) * MINUTE_MS)])
        events += thresholds.advance(store, {}, frontier, Maintenance(), row_of)
    fired, corrected, retracted = events
    assert [event.status for event in events] == ["firing", "corrected", "retracted"]
    assert fired.window_start_ms == T0 + 30 * MINUTE_MS
    assert fired.timestamp_ms == T0 + 40 * MINUTE_MS
    # The window that fired turns out right first, the youngest of the alert last.
    assert corrected.timestamp_ms == T0 + 100 * MINUTE_MS
    assert retracted.timestamp_ms == T0 + 110 * MINUTE_MS
    assert corrected.corrects == retracted.corrects == fired.event_id
