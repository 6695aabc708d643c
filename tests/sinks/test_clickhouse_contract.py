"""What holds of ClickHouse as a sink, for a server over HTTP and for the embedded engine alike."""

import json
from typing import Any

import pytest
from pane_oracle import Joined, pane_rows
from raw_columns import labels, predictions

from schemas.columns import KIND_NAMES
from schemas.figures import (
    CLASS_QUALITY_COLUMNS,
    FEATURE_DRIFT_COLUMNS,
    MODEL_QUALITY_COLUMNS,
    WINDOW_KEYS,
)
from schemas.findings import AlertEvent, DriftEvent, ModelState
from schemas.panes import CLASS_BINS, MAPS
from schemas.records import DeadLetter
from sinks.clickhouse import migrate as migrate_module
from sinks.clickhouse.client import Client, connect
from sinks.clickhouse.errors import NewerDatabaseError, RefusedError, UnreachableError
from sinks.clickhouse.migrate import migrate, migrations
from sinks.clickhouse.schema import TABLES
from sinks.clickhouse.views import views
from sinks.clickhouse.writers import Writer

# Far ahead, so that no table's TTL ever takes a test's rows.
T0_MS = 2_524_608_000_000  # 2050-01-01


def alert(event_id: str = "e1", **changes: Any) -> AlertEvent:
    return AlertEvent(
        **{
            "event_id": event_id,
            "fingerprint": "f1",
            "status": "firing",
            "severity": "page",
            "rule": "accuracy-low",
            "kind": "threshold",
            "model": "m",
            "window_start_ms": T0_MS,
            "window_end_ms": T0_MS + 3_600_000,
            "started_at_ms": T0_MS,
            "timestamp_ms": T0_MS + 1,
            "summary": "accuracy 0.5 below 0.9",
            "value": 0.5,
            "labels": {"model": "m", "rule": "accuracy-low"},
            "evidence": {"labelled": 100, "coverage": 0.5, "mature": True, "note": 'a "b"', "nothing": None},
        }
        | changes
    )


def count(client: Client, table: str) -> int:
    found: int = client.rows(
        f"SELECT count() AS n FROM {table} FINAL"  # noqa: S608
    )[0]["n"]
    return found


def test_migrated_tables_have_exactly_the_declared_columns(database: Any) -> None:
    rows = database.client.rows(
        "SELECT table, name FROM system.columns "
        "WHERE database = currentDatabase() AND default_kind != 'MATERIALIZED' ORDER BY table, position"
    )
    for table, columns in TABLES.items():
        assert tuple(row["name"] for row in rows if row["table"] == table) == columns


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        ("model_quality", MODEL_QUALITY_COLUMNS),
        ("class_quality", CLASS_QUALITY_COLUMNS),
        ("feature_drift", FEATURE_DRIFT_COLUMNS),
    ],
)
def test_views_have_exactly_the_contract_s_columns(
    database: Any, view: str, columns: tuple[str, ...]
) -> None:
    rows = database.client.rows(f"DESCRIBE {view}(window_seconds = 60)")
    assert tuple(row["name"] for row in rows) == WINDOW_KEYS + columns


def test_migrating_again_changes_nothing_and_says_so(database: Any) -> None:
    query = (
        "SELECT name, metadata_modification_time FROM system.tables "
        "WHERE database = currentDatabase() ORDER BY name"
    )
    before = database.client.rows(query)
    lines = migrate(database.client, database.name)
    assert lines == [
        f"clickhouse: database {database.name} is there",
        *(f"clickhouse: migration {name} was applied before" for _, name, _ in migrations()),
        f"clickhouse: {len(views())} views are there",
    ]
    assert database.client.rows(query) == before


def test_a_migration_that_was_cut_off_is_finished_by_the_next_run(
    clickhouse_url: str, fresh_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(clickhouse_url)
    steps = migrations()
    number, name, text = steps[0]
    broken = [(number, name, text[: text.rindex("CREATE TABLE")] + "DROP TABLE missing;\n"), *steps[1:]]
    monkeypatch.setattr(migrate_module, "migrations", lambda: broken)
    with pytest.raises(RefusedError, match="Code: 60"):
        migrate(client, fresh_name)
    monkeypatch.undo()
    assert migrate(client, fresh_name) == [
        f"clickhouse: database {fresh_name} is there",
        *(f"clickhouse: migration {name} applied" for _, name, _ in migrations()),
        *(f"clickhouse: view {name} created" for name in views()),
    ]
    assert count(client, f"{fresh_name}.model_states") == 0
    client.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    clickhouse_url: str, fresh_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(clickhouse_url)
    migrate(client, fresh_name)
    monkeypatch.setattr(migrate_module, "migrations", lambda: migrations()[:1])
    with pytest.raises(NewerDatabaseError, match=r"has migration 0\d+_\w+, .*upgrade aftcast"):
        migrate(client, fresh_name)
    client.close()


def test_no_two_migrations_share_a_number() -> None:
    numbers = [number for number, _, _ in migrations()]
    assert numbers == sorted(set(numbers))


def test_a_database_name_that_is_no_identifier_is_refused(clickhouse_url: str) -> None:
    client = connect(clickhouse_url)
    with pytest.raises(ValueError, match="letters, digits and underscores"):
        migrate(client, "a; DROP DATABASE default")
    client.close()


def test_rollups_written_twice_change_nothing(database: Any) -> None:
    rows = pane_rows(Joined(T0_MS + i * 30_000, 1, 1, True) for i in range(10))
    writer = Writer(database.client, database.name)
    writer.write_rollups(rows)
    query = "SELECT * FROM model_quality(window_seconds = 3600)"
    before = database.client.rows(query)
    writer.write_rollups(rows)
    assert database.client.rows(query) == before
    assert count(database.client, "rollups") == rows.num_rows


def test_an_older_revision_after_a_newer_changes_nothing(database: Any) -> None:
    writer = Writer(database.client, database.name)
    writer.write_rollups(pane_rows([Joined(T0_MS, 1), Joined(T0_MS, 1)], revision=2**63 + 1))
    writer.write_rollups(pane_rows([Joined(T0_MS, 1)], revision=2**63))
    rows = database.client.rows("SELECT predictions FROM model_quality(window_seconds = 60)")
    assert rows == [{"predictions": 2}]


def test_every_column_of_a_rollup_comes_back_as_it_was_written(database: Any) -> None:
    events = [
        Joined(
            T0_MS, "a", "b", True, latency_ms=12.0, delay_ms=400, cost=0.1, value=-2.0, segments={"c": "x"}
        ),
        Joined(T0_MS, None),
        Joined(T0_MS, 2, 3, True),
        Joined(T0_MS, "a", "b", True, scores={"a": 0.25}),
        Joined(T0_MS, "a", "b", True, scores={"a": 0.5, "b": 0.25, "c": 0.25}),
    ]
    rows = pane_rows(events, revision=2**64 - 1)
    Writer(database.client, database.name).write_rollups(rows)
    stored = database.client.rows("SELECT * FROM rollups FINAL ORDER BY segment")
    expected = sorted(rows.to_pylist(), key=lambda row: row["segment"])
    for row in expected:
        row["pane_start"] = row["pane_start"].replace(tzinfo=None)
        for name in (*MAPS, *CLASS_BINS):
            row[name] = dict(row[name])
    assert stored == expected


def test_redelivered_predictions_collapse_and_a_true_repeat_stays(database: Any) -> None:
    writer = Writer(database.client, database.name)
    batch = predictions(["a", "b"])
    writer.write_predictions(batch, "inference-events", 3)
    writer.write_predictions(batch, "inference-events", 3)
    assert count(database.client, "predictions") == 2
    writer.write_predictions(batch, "inference-events", 4)
    assert count(database.client, "predictions") == 4


def test_predictions_keep_type_text_and_number_of_every_scalar(database: Any) -> None:
    values = [None, True, 3, -0.0, 2.5, 1e17, 1e-7, 2**62, 1e300, "3", "", 'quo"te\\ \n', "ü\x1f"]
    Writer(database.client, database.name).write_predictions(predictions(values), "inference-events", 0)
    rows = database.client.rows(
        "SELECT prediction, prediction_kind, prediction_number, scores, latency_ms, segments, partition, "
        "topic FROM predictions FINAL ORDER BY offset"
    )
    for i, (row, value) in enumerate(zip(rows, values, strict=True)):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        expected = value
        if value is True:
            expected = "true"
        elif number:
            expected = str(int(value)) if value == int(value) else repr(value)
        assert row["prediction"] == expected
        assert row["prediction_kind"] == KIND_NAMES[[type(None), bool, int, float, str].index(type(value))]
        assert row["prediction_number"] == (float(value) if number else None)
        assert row["scores"] == ({"a": 0.25} if i % 2 else {})
        assert row["latency_ms"] == (None if i % 2 else 1.5)
        assert (row["segments"], row["partition"], row["topic"]) == ({"country": "de"}, 0, "inference-events")


def test_features_are_json_scalars_that_keep_their_type(database: Any) -> None:
    features: list[dict[str, Any]] = [
        {"null": None, "yes": True, "long": -(2**63), "whole": 1.0, "zero": -0.0, "small": 5e-324},
        {},
        {"text": 'a "b" \\ \n \x01 é', "number": "1", "huge": 1e300},
    ]
    batch = predictions(["a"] * 3, features)
    writer = Writer(database.client, database.name)
    writer.write_predictions(batch, "inference-events", 0)
    writer.write_predictions(batch.slice(2), "sliced", 0)
    query = "SELECT features FROM predictions FINAL WHERE topic = {t:String} ORDER BY offset"
    for topic, expected in (("inference-events", features), ("sliced", features[2:])):
        rows = database.client.rows(query, {"t": topic})
        read = [{name: json.loads(value) for name, value in row["features"].items()} for row in rows]
        assert [{k: repr(v) for k, v in row.items()} for row in read] == [
            {k: repr(v) for k, v in row.items()} for row in expected
        ]


def test_labels_keep_every_field(database: Any) -> None:
    writer = Writer(database.client, database.name)
    batch = labels([True, 2.0, None, "x"])
    writer.write_labels(batch, "label-events", 1)
    writer.write_labels(batch, "label-events", 1)
    rows = database.client.rows("SELECT * FROM labels FINAL ORDER BY offset")
    assert [row["label"] for row in rows] == ["true", "2", None, "x"]
    assert [row["label_kind"] for row in rows] == ["boolean", "double", "null", "string"]
    assert [row["label_number"] for row in rows] == [None, 2.0, None, None]
    assert {(row["sampling_probability"], row["value"], row["source"]) for row in rows} == {
        (0.5, -3.25, "review")
    }


def test_a_large_block_arrives_whole(database: Any) -> None:
    n = 70_000
    batch = predictions([i % 7 for i in range(n)], [{"f": i / 3} for i in range(n)])
    Writer(database.client, database.name).write_predictions(batch, "inference-events", 0)
    assert count(database.client, "predictions") == n


def test_a_block_that_spans_120_weeks_is_taken(database: Any) -> None:
    events = [Joined(T0_MS + i * 7 * 86_400_000, 1) for i in range(120)]
    Writer(database.client, database.name).write_rollups(pane_rows(events))
    assert count(database.client, "rollups") == 120


def test_findings_written_twice_stand_once(database: Any) -> None:
    writer = Writer(database.client, database.name)
    drift = DriftEvent("m", "1", "", "", "error", "ADWIN", T0_MS + 3, T0_MS, T0_MS + 1, 0.1, 0.2)
    letters = [
        DeadLetter("label-events", 1, offset, "expected a string", "$.model", "{}", T0_MS)
        for offset in (1, 2)
    ]
    for _ in range(2):
        writer.write_drift_events([drift])
        writer.write_alerts([alert("e1"), alert("e2", status="resolved", corrects="e1", value=None)])
        writer.write_dead_letters(letters)
    client = database.client
    assert [count(client, t) for t in ("drift_events", "alerts", "dead_letters")] == [1, 2, 2]
    row = client.rows("SELECT * FROM alerts FINAL ORDER BY event_id")[0]
    assert {k: json.loads(v) for k, v in row["evidence"].items()} == alert().evidence
    assert (row["labels"], row["value"], row["threshold"]) == (alert().labels, 0.5, None)
    found = client.rows("SELECT signal, detector, before, after FROM drift_events FINAL")
    assert found == [{"signal": "error", "detector": "ADWIN", "before": 0.1, "after": 0.2}]


def test_the_newest_state_of_a_model_stands_whatever_comes_last(database: Any) -> None:
    writer = Writer(database.client, database.name)
    writer.write_model_states([ModelState("m", "1", "binary", T0_MS + 60_000, T0_MS + 2)])
    writer.write_model_states([ModelState("m", "1", "regression", T0_MS, T0_MS + 1)])
    rows = database.client.rows("SELECT task FROM model_states FINAL")
    assert rows == [{"task": "binary"}]


def test_empty_blocks_send_nothing(database: Any) -> None:
    writer = Writer(database.client, database.name)
    writer.write_rollups(pane_rows([]))
    writer.write_predictions(predictions([]), "t", 0)
    writer.write_alerts([])
    writer.write_drift_events([])
    writer.write_model_states([])
    writer.write_dead_letters([])
    assert count(database.client, "rollups") == 0


def test_a_table_that_is_not_there_is_named_with_the_remedy(clickhouse_url: str) -> None:
    client = connect(clickhouse_url)
    with pytest.raises(RefusedError, match=r"(?s)refused: .*aftcast setup$") as caught:
        Writer(client, "nowhere").write_rollups(pane_rows([Joined(T0_MS, 1)]))
    assert caught.value.code in (60, 81)
    client.close()


def test_a_database_that_is_not_there_is_named_with_the_remedy(clickhouse_url: str) -> None:
    with pytest.raises(RefusedError, match=r"nowhere.*; create the database with: aftcast setup$"):
        connect(clickhouse_url, database="nowhere").rows("SELECT 1")


def test_nothing_listening_is_unreachable_and_says_where() -> None:
    with pytest.raises(
        UnreachableError, match=r"^clickhouse: not reachable at 127.0.0.1:1 \(connection refused\)$"
    ):
        connect("http://127.0.0.1:1")


@pytest.mark.parametrize("url", ["localhost:8123", "tcp://localhost:9000", "chdb://", "http://"])
def test_a_url_of_another_form_is_refused_with_the_forms(url: str) -> None:
    with pytest.raises(ValueError, match=r'^clickhouse.url must be "http://host:port"'):
        connect(url)
