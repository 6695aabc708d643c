"""The nowcast in SQL is that of the monitor which learnt the curves, from the same rows."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pane_oracle import Joined, pane_rows, seconds

from schemas.findings import Progress
from schemas.settings import MonitorSettings
from sinks.clickhouse.writers import Writer
from streams.monitor import Monitor

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
T0_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows
HOURS = 20
NOWCAST = ("accuracy_nowcast", "accuracy_nowcast_low", "accuracy_nowcast_high", "nowcast_reason")
COLUMNS = ("is_mature", "accuracy", *NOWCAST, "estimated_accuracy")


def answers() -> list[Joined]:
    """Make answers of which wrong ones are labelled first; delays grow by a quarter on the way."""
    rng = np.random.default_rng(6)
    events = []
    for time_ms in sorted(T0_MS + rng.integers(0, HOURS * HOUR_MS, 3_600)):
        said, right = str(rng.choice(["a", "b", "c"], p=[0.6, 0.37, 0.03])), bool(rng.random() < 0.85)
        slower = 1 + 0.25 * (time_ms - T0_MS) / (HOURS * HOUR_MS)
        score = float(rng.uniform(0.5, 0.9))
        rest = (1 - score) / 2
        events.append(
            Joined(
                int(time_ms),
                said,
                said if right else "abc"["abc".index(said) - 1],
                partition=int(rng.integers(0, 2)),
                segments={"country": str(rng.choice(["de", "fr"]))},
                scores={name: score if name == said else rest for name in "abc"},
                age_ms=int(rng.exponential(slower * (20 if right else 6) * MINUTE_MS)),
            )
        )
    return events


def by_hour(events: list[Joined]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield each hour's end, and the rows of the panes that it changed, as they stand then."""
    panes = defaultdict(list)
    for event in events:
        panes[event.time_ms // MINUTE_MS].append(event)
    for hour in range(1, HOURS + 1):
        now_ms = T0_MS + hour * HOUR_MS
        changed = []
        for pane, members in panes.items():
            moments = [m for e in members for m in (e.time_ms, e.time_ms + e.age_ms)]
            if pane * MINUTE_MS < now_ms and any(now_ms - HOUR_MS < m <= now_ms for m in moments):
                changed += members
        for event in changed:
            event.has_label = event.time_ms + event.age_ms <= now_ms
        yield now_ms, pane_rows(changed, revision=hour)


def test_windows_have_the_nowcast_of_the_monitor_that_told_curves_and_state(embedded_database: Any) -> None:
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=100 * MINUTE_MS), keep_all=True)
    writer = Writer(embedded_database.client, embedded_database.name)
    for now_ms, rows in by_hour(answers()):
        monitor.absorb(rows)
        writer.write_rollups(rows)
        found = monitor.advance(
            [Progress(partition, 2, 1, now_ms, now_ms, caught_up=True) for partition in range(2)]
        )
        writer.write_delay_curves(found.curves)
        writer.write_calibrations(found.calibrations)
        writer.write_model_states(found.states)
    for window_s in (300, 3_600):
        rows = embedded_database.client.rows(
            f"SELECT * FROM model_quality(window_seconds = {window_s}) SETTINGS join_use_nulls = 1"  # noqa: S608
        )
        for row in rows:
            start_ms = seconds(row["window_start"]) * 1_000
            own = monitor.figures("m", "1", row["segment"], start_ms, start_ms + window_s * 1_000)
            for name in COLUMNS:
                expected = own[name]
                if isinstance(expected, float):
                    expected = pytest.approx(expected, rel=1e-9)
                assert row[name] == expected, (window_s, row["segment"], row["window_start"], name)
        young = [row for row in rows if not row["is_mature"]]
        assert sum(row["accuracy_nowcast"] is not None for row in young) >= 5
