"""Statuses, delay curves, reliability and orphan labels against plain counting, and against the stream."""

import math
from collections import Counter
from typing import Any

import pytest
from pane_oracle import Joined, confidence_of, members_of, pane_rows, seconds, text
from raw_columns import labels, predictions
from test_quality_views import key_of, traffic, view, windows

from sinks.clickhouse.writers import Writer
from streams.metrics import delay_curve, status_shares

HOUR_MS = 3_600_000


@pytest.fixture
def events(embedded_database: Any) -> list[Joined]:
    made = traffic(seed=12, n=700)
    Writer(embedded_database.client, embedded_database.name).write_rollups(pane_rows(made))
    return made


def grouped(rows: list[dict[str, Any]]) -> dict[Any, list[dict[str, Any]]]:
    found: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(key_of(row), []).append(row)
    return found


def test_status_shares_add_up_to_all_calls_and_equal_the_stream_s(
    embedded_database: Any, events: list[Joined]
) -> None:
    found = grouped(view(embedded_database, "status_shares", 3_600))
    for key, members in members_of(events, 3_600).items():
        failed = sum(event.prediction is None for event in members)
        calls = {row["status"]: row["calls"] for row in found[key]}
        assert calls == {k: n for k, n in (("ok", len(members) - failed), ("timeout", failed)) if n}
        assert math.fsum(row["share"] for row in found[key]) == pytest.approx(1, rel=1e-12)
    for key, sums in windows(pane_rows(events), 3_600).items():
        rows = sorted(found[key], key=lambda row: row["status"])
        assert [{name: row[name] for name in ("status", "calls", "share")} for row in rows] == status_shares(
            sums
        )


def test_a_delay_curve_counts_the_labels_that_came_by_each_age(
    embedded_database: Any, events: list[Joined]
) -> None:
    found = grouped(view(embedded_database, "delay_curve", 86_400))
    for key, members in members_of(events, 86_400).items():
        answered = [event for event in members if event.prediction is not None]
        ages_s = [event.age_ms / 1_000 for event in answered if event.has_label]
        assert bool(ages_s) == (key in found)
        for row in found.get(key, []):
            by_then = sum(age_s <= row["age_s"] * (1 + 1e-12) for age_s in ages_s)
            assert row["labelled"] == by_then
            assert row["share"] == pytest.approx(by_then / len(answered), rel=1e-12)
        assert not ages_s or max(row["labelled"] for row in found[key]) == len(ages_s)
    for key, sums in windows(pane_rows(events), 86_400).items():
        rows = sorted(found.get(key, []), key=lambda row: row["age_s"])
        assert [{name: row[name] for name in ("age_s", "labelled", "share")} for row in rows] == [
            {name: pytest.approx(value, rel=1e-12) for name, value in row.items()}
            for row in delay_curve(sums)
        ]


def test_reliability_is_what_scores_promised_and_what_came_true(
    embedded_database: Any, events: list[Joined]
) -> None:
    found = grouped(view(embedded_database, "reliability", 3_600))
    checked = 0
    for key, members in members_of(events, 3_600).items():
        pairs = [event for event in members if event.has_label and event.scores]
        bins: dict[float, list[tuple[float, float, bool]]] = {}
        for event in pairs:
            assert event.scores
            told = confidence_of(event.scores)
            top = max(event.scores, key=event.scores.__getitem__) if len(event.scores) > 2 else "1"
            low = max(i / 10 for i in range(10) if i / 10 <= told)
            bins.setdefault(low, []).append((event.weight, told, top == text(event.label)))
        assert {row["bin_low"] for row in found.get(key, [])} == set(bins)
        for row in found.get(key, []):
            weight = math.fsum(w for w, _, _ in bins[row["bin_low"]])
            told = math.fsum(w * p for w, p, _ in bins[row["bin_low"]])
            true = math.fsum(w * came for w, _, came in bins[row["bin_low"]])
            assert row["bin_high"] == pytest.approx(row["bin_low"] + 0.1, rel=1e-12)
            assert row["n"] == pytest.approx(weight, rel=1e-9)
            assert row["predicted"] == pytest.approx(told / weight, rel=1e-9, abs=1e-9)
            assert row["came_true"] == pytest.approx(true / weight, rel=1e-9)
            checked += 1
    assert checked > 20


def test_orphan_labels_are_those_without_any_prediction_of_their_model(embedded_database: Any) -> None:
    writer = Writer(embedded_database.client, embedded_database.name)
    writer.write_predictions(predictions(["x"] * 3), "inference-events", 0)  # p0 to p2 of the model m
    # p0 to p4, one an hour: nobody named, m, m, another model, m.
    named = labels(["x"] * 5, models=["", "m", "m", "other", "m"], step_ms=HOUR_MS)
    for _ in range(2):  # redelivered
        writer.write_labels(named, "label-events", 0)
    found = view(embedded_database, "orphan_labels", 86_400)
    assert sorted((row["model"], row["labels"], row["examples"]) for row in found) == [
        ("m", 1, ["p4"]),
        ("other", 1, ["p3"]),
    ]
    writer.write_labels(labels(["x"] * 5, models=[""] * 5), "label-events", 1)
    hourly = Counter[str]()
    for row in view(embedded_database, "orphan_labels", 3_600):
        hourly[row["model"], seconds(row["window_start"]) % 86_400] += row["labels"]
    assert hourly == {("", 0): 2, ("other", 3 * 3_600): 1, ("m", 4 * 3_600): 1}
