"""Privacy from end to end: nothing that is written holds what was taken away, and figures stay."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from aftcast.configuration import Configuration
from aftcast.loading import load
from aftcast.replay import run_replay
from schemas.records import RawBatch
from schemas.settings import JoinSettings, MonitorSettings
from sinks.clickhouse.rows import raw_rows
from streams.decode import Decoder
from streams.partition import PartitionStage

START_MS = 1_767_225_600_000  # 2026-01-01
PERSONAL = "alice"  # stands in every value that is somebody's
NUMBER = 7_217_321_077_345
RULES = """
[privacy]
drop = ["features.mail", "trace_id"]
hash = ["features.customer*", "segments.customer", "request_id", "prediction_id", "actor"]
truncate = ["segments.zip:2", "source:1"]
key = "a key of the tests"
[detection]
maturity_horizon = "30m"
[[rules]]
name = "accuracy-low"
metric = "accuracy"
below = 0.95
min_labelled = 10
"""


def events() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    rng = np.random.default_rng(7)
    predictions, labels = [], []
    for i, time_ms in enumerate(np.sort(START_MS + rng.integers(0, 3_600_000, 300)).tolist()):
        who = f"{PERSONAL}-{i % 5}"
        predictions.append(
            {
                "prediction_id": f"{PERSONAL}-p{i}",
                "model": "fraud",
                "timestamp": time_ms,
                "prediction": "yes" if i % 3 else "no",
                "features": {
                    "amount": float(rng.normal()),
                    "mail": f"{who}@a",
                    "customer": who,
                    "customer_number": NUMBER + i % 7,
                },
                "segments": {"customer": who, "zip": f"12{PERSONAL}", "country": "DE"},
                "request_id": f"{PERSONAL}-r{i}",
                "trace_id": f"{PERSONAL}-t{i}",
                "latency_ms": float(rng.lognormal(3, 1)),
            }
        )
        label = "yes" if (i % 3 > 0) != (i % 7 == 0) else "no"
        truth = {"prediction_id": f"{PERSONAL}-p{i}", "label": label, "timestamp": time_ms + 60_000}
        labels.append(truth | {"source": PERSONAL})
    predictions.append(
        predictions[3] | {"timestamp": predictions[3]["timestamp"] + 1}
    )  # its id a second time
    predictions.append(predictions[0] | {"latency_ms": PERSONAL})
    labels.append(labels[0] | {"timestamp": PERSONAL})
    done = {"model": "fraud", "timestamp": START_MS + 1, "kind": "deployed", "actor": PERSONAL}
    return predictions, labels, [done]


@pytest.fixture(scope="module")
def treated(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    file = tmp_path_factory.mktemp("privacy") / "aftcast.toml"
    file.write_text(RULES)
    return load(file, environment={})


def replayed(folder: Path, configuration: Configuration) -> dict[str, str]:
    files = []
    for name, records in zip(("i", "l", "c"), events(), strict=True):
        files.append(folder / f"{name}.ndjson")
        files[-1].write_text("".join(json.dumps(record) + "\n" for record in records))
    window_ms, out = 3_600_000, folder / "out"
    run_replay(
        [files[0]], [files[1]], [files[2]], configuration, window_ms, True, START_MS + 2 * window_ms, out
    )
    return {file.name: file.read_text() for file in out.iterdir()}


def figures(text: str, **wanted: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_a_replay_writes_nothing_that_was_taken_away_and_the_same_figures(
    tmp_path: Path, treated: Configuration
) -> None:
    open_rules = treated.model_copy(update={"privacy": Configuration().privacy})
    folders = tmp_path / "plain", tmp_path / "treated"
    for folder in folders:
        folder.mkdir()
    before, after = replayed(folders[0], open_rules), replayed(folders[1], treated)
    leaks = (PERSONAL, str(NUMBER)[:10])
    shown = {name for name, text in before.items() for leak in leaks if leak in text}
    assert {"model_quality.ndjson", "dead_letters.ndjson"} <= shown
    assert {name for name, text in after.items() for leak in leaks if leak in text} == set()
    assert before.keys() == after.keys()
    for name in ("model_quality", "class_quality", "model_quality_history"):
        file = name + ".ndjson"
        assert figures(before[file], segment="") == figures(after[file], segment="") != []
        assert len(figures(before[file])) == len(figures(after[file]))  # as many customers as before
    drift = [figures(one["feature_drift.ndjson"], feature="amount") for one in (before, after)]
    assert drift[0] == drift[1] != []
    letters = [figures(one["dead_letters.ndjson"]) for one in (before, after)]
    assert [(one["offset"], one["field"]) for one in letters[0]] == [
        (one["offset"], one["field"]) for one in letters[1]
    ]
    assert len(figures(after["alerts.ndjson"])) == len(figures(before["alerts.ndjson"])) > 0


def test_raw_rows_and_pane_rows_hold_nothing_of_it(treated: Configuration) -> None:
    decoder = Decoder(privacy=treated.privacy.settings())
    predictions, labels, _ = events()
    stage = PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    tables = []
    for topic, records, decode, apply in (
        ("inference-events", predictions, decoder.decode_inference, stage.apply_inference),
        ("label-events", labels, decoder.decode_labels, stage.apply_labels),
    ):
        n = len(records)
        values = [json.dumps(record).encode() for record in records]
        times = np.full(n, START_MS + 10_000_000)
        batch = decode(RawBatch(topic, 0, np.arange(n), times, [PERSONAL.encode()] * n, values))
        tables.append(raw_rows(batch.columns, topic, 0))
        apply(batch)
    stage.advance(START_MS + 20_000_000, START_MS + 20_000_000)
    tables.append(pa.Table.from_batches([stage.take_changed()]))
    tables.append(pa.Table.from_batches([stage.take_changed_features()]))
    assert all(table.num_rows for table in tables)
    for table in tables:
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        found = sink.getvalue()
        assert PERSONAL.encode() not in found
        assert str(NUMBER)[:10].encode() not in found
        assert np.int64(NUMBER).tobytes() not in found
    letters = [decoder.privacy.letter(letter) for letter in stage.take_dead_letters()]
    assert letters
    assert PERSONAL not in repr(letters)
