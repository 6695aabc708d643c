"""Every file format gives the same figures; broken files lose only what is broken."""

import csv
import gzip
import json
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recorded import START_MS, make_events, write

import schemas
from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.replay import run_replay

AVSC = {
    k: json.loads((Path(schemas.__file__).parent / f"{k}_event.avsc").read_text())
    for k in ("inference", "label")
}


@pytest.fixture(scope="module")
def events():
    predictions, labels = make_events(n=150)
    # One model, so that a CSV's column of labels has one type.
    return (
        [p for p in predictions if p["model"] == "price"],
        [label for label in labels if label["prediction_id"].startswith("price-")],
    )


def run(tmp_path, inference, labels, **options):
    out = tmp_path / "out"
    until_ms, history = options.get("until_ms"), options.get("history", False)
    configuration = options.get("configuration", Configuration())
    summary = run_replay([inference], [labels], [], configuration, 3_600_000, history, until_ms, out)
    return summary, out


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def reference(tmp_path_factory, events):
    folder = tmp_path_factory.mktemp("reference")
    _, out = run(folder, write(folder / "i.ndjson", events[0]), write(folder / "l.ndjson", events[1]))
    return (out / "model_quality.ndjson").read_bytes()


def flat(event):
    row = {}
    for name, value in event.items():
        if isinstance(value, dict):
            row |= {f"{name[:-1]}.{key}": item for key, item in value.items()}
        elif name != "scores":
            row[name] = value
    return row


def write_csv(path, events):
    rows = [flat(event) for event in events]
    names = sorted({name for row in rows for name in row})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_csv_gives_the_same_figures(tmp_path, events, reference):
    _, out = run(tmp_path, write_csv(tmp_path / "i.csv", events[0]), write_csv(tmp_path / "l.csv", events[1]))
    assert (out / "model_quality.ndjson").read_bytes() == reference


def test_parquet_gives_the_same_figures(tmp_path, events, reference):
    for name, part in (("i", events[0]), ("l", events[1])):
        table = pa.Table.from_pylist([flat(event) for event in part])
        at = table.schema.get_field_index("timestamp")
        if name == "i":  # one file with integers, one with timestamps
            table = table.set_column(at, "timestamp", table.column("timestamp").cast(pa.timestamp("ms")))
        pq.write_table(table, tmp_path / f"{name}.parquet")
    _, out = run(tmp_path, tmp_path / "i.parquet", tmp_path / "l.parquet")
    assert (out / "model_quality.ndjson").read_bytes() == reference


def write_avro(path, kind, events, sync_interval=2_000):
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(AVSC[kind]), events, sync_interval=sync_interval)
    return path


def test_avro_containers_give_the_same_figures(tmp_path, events, reference):
    inference = write_avro(tmp_path / "i.avro", "inference", events[0])
    _, out = run(tmp_path, inference, write_avro(tmp_path / "l.avro", "label", events[1]))
    assert (out / "model_quality.ndjson").read_bytes() == reference


def test_gzip_gives_the_same_figures(tmp_path, events, reference):
    for name, part in (("i", events[0]), ("l", events[1])):
        text = "".join(json.dumps(event) + "\n\n" for event in part)  # blank lines are no records
        (tmp_path / f"{name}.ndjson.gz").write_bytes(gzip.compress(text.encode()))
    _, out = run(tmp_path, tmp_path / "i.ndjson.gz", tmp_path / "l.ndjson.gz")
    assert (out / "model_quality.ndjson").read_bytes() == reference


def test_of_a_truncated_container_whole_blocks_count_and_one_dead_letter_says_where_it_broke(
    tmp_path, events
):
    path = write_avro(tmp_path / "i.avro", "inference", events[0])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    summary, out = run(tmp_path, path, write_avro(tmp_path / "l.avro", "label", events[1]))
    kept = summary["inference"]["accepted"] + summary["inference"]["duplicates"]
    assert 0 < kept < len(events[0])
    [letter] = lines(out / "dead_letters.ndjson")
    assert letter["topic"] == str(path)
    assert letter["offset"] == kept + 1
    assert letter["reason"].startswith("malformed_avro")


def test_csv_ids_are_text_and_empty_cells_are_null_and_na_is_text(tmp_path):
    (tmp_path / "i.csv").write_text(
        "prediction_id,model,model_version,timestamp,prediction,latency_ms,segment.zip\n"
        f"001,m,1.0,{START_MS},NA,,007\n"
        f"1,m,1.0,2026-01-01T00:00:01Z,yes,3,007\n"
        f"1,m,1.0,2026-01-01T00:00:01Z\n"
    )
    (tmp_path / "l.csv").write_text(f"prediction_id,label,timestamp\n001,NA,{START_MS}\n1,NA,{START_MS}\n")
    summary, out = run(tmp_path, tmp_path / "i.csv", tmp_path / "l.csv")
    assert summary["inference"] | {"tests": 0} == {
        "read": 3, "accepted": 2, "duplicates": 0, "dead_lettered": 1, "tests": 0, "scores_not_one": 0,
    }  # fmt: skip
    rows = {row["segment"]: row for row in lines(out / "model_quality.ndjson")}
    assert rows.keys() == {"", "zip=007"}
    assert rows[""]["model_version"] == "1.0"
    assert (rows[""]["labelled"], rows[""]["accuracy"]) == (2, 0.5)
    [letter] = lines(out / "dead_letters.ndjson")
    assert (letter["offset"], letter["reason"]) == (3, "wrong_type: expected 7 cells, got 4")


def test_a_column_of_numbers_is_text_beside_scores(tmp_path):
    (tmp_path / "i.csv").write_text(
        f"prediction_id,model,timestamp,prediction,score.1\na,m,{START_MS},1,0.7\nb,m,{START_MS},0,0.2\n"
    )
    (tmp_path / "l.csv").write_text(f"prediction_id,label,timestamp\na,1,{START_MS}\nb,1,{START_MS}\n")
    _, out = run(tmp_path, tmp_path / "i.csv", tmp_path / "l.csv")
    [row] = lines(out / "model_quality.ndjson")
    assert (row["accuracy"], row["mae"]) == (0.5, None)


@pytest.mark.parametrize("name", ["i.txt", "i", "i.csv.zip"])
def test_an_unknown_suffix_is_refused_by_name(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(Failure, match=r"the suffix tells the format; expected one of \.ndjson"):
        run(tmp_path, tmp_path / name, tmp_path / name)


def test_time_stands_at_the_last_event_unless_it_is_let_run_on(tmp_path, events):
    configuration = Configuration.model_validate(
        {"detection": {"maturity_horizon": "24h"}, "panes": {"width": "5m"}}
    )
    files = write(tmp_path / "i.ndjson", events[0]), write(tmp_path / "l.ndjson", events[1])
    _, out = run(tmp_path, *files, history=True, configuration=configuration)
    rows = [row for row in lines(out / "model_quality.ndjson") if row["segment"] == ""]
    assert not rows[-1]["is_mature"]
    assert rows[-1]["accuracy_nowcast"] is None
    _, out = run(
        tmp_path, *files, history=True, configuration=configuration, until_ms=START_MS + 48 * 3_600_000
    )
    rows = [row for row in lines(out / "model_quality.ndjson") if row["segment"] == ""]
    assert all(row["is_mature"] for row in rows)
    history = [r for r in lines(out / "model_quality_history.ndjson") if r["segment"] == ""]
    assert len(history) == 2 * len(rows)
    closed = {r["window_start"]: r for r in history if not r["is_mature"]}
    matured = {r["window_start"]: r for r in history if r["is_mature"]}
    assert closed.keys() == matured.keys() == {r["window_start"] for r in rows}
    for start, row in matured.items():
        assert row["labelled"] >= closed[start]["labelled"]
    assert sum(r["labelled"] for r in matured.values()) > sum(r["labelled"] for r in closed.values())
