"""The same events through Kafka, in another order and over three partitions, give the figures of a replay."""

import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer
from test_worker_on_kafka import Place, place, until  # noqa: F401

from aftcast.configuration import Configuration
from aftcast.replay import run_replay
from schemas import messages
from schemas.pane_reading import read_panes
from schemas.panes import PaneSums
from streams.metrics import class_quality, model_quality, task_of

sys.path.append(str(Path(__file__).parents[1] / "replay"))
from recorded import make_events, write

pytestmark = pytest.mark.kafka
WINDOW_MS = 3_600_000
# What the monitor learns of a model's past; no row of panes holds it.
LEARNT = {"estimated_accuracy", "estimated_accuracy_error", "nowcast_reason"}
LEARNT |= {f"accuracy_nowcast{end}" for end in ("", "_low", "_high")}


def test_rollups_from_kafka_equal_those_of_a_replay(place: Place, tmp_path: Path) -> None:  # noqa: F811
    # Hours ago, so that every label is in the past, and within the hot horizon.
    start_ms = (time.time_ns() // 1_000_000 - 20 * WINDOW_MS) // 60_000 * 60_000
    predictions, labels = make_events(seed=3, n=400, start_ms=start_ms)
    out = tmp_path / "out"
    run_replay(
        [write(tmp_path / "i.ndjson", predictions)],
        [write(tmp_path / "l.ndjson", labels)],
        [],
        Configuration(),
        WINDOW_MS,
        False,
        None,
        out,
    )
    rng = np.random.default_rng(0)
    sent = [(place.topics["inference"], predictions[i]) for i in rng.permutation(len(predictions))]
    sent += [(place.topics["labels"], labels[i]) for i in rng.permutation(len(labels))]
    producer = Producer({"bootstrap.servers": place.kafka, "partitioner": "murmur2_random"})
    for i in rng.permutation(len(sent)):
        topic, event = sent[i]
        producer.produce(topic, json.dumps(event).encode(), event["prediction_id"].encode())
        producer.poll(0)
    assert producer.flush(20) == 0
    place.start()
    place.await_ready()
    expected = {tuple(list(row.values())[:4]): row for row in lines(out / "model_quality.ndjson")}
    until(lambda: len(windows(place)) == len(expected), place.log)
    until(lambda: labelled(windows(place)) == labelled_of(expected.values()), place.log)
    got = windows(place)
    assert got.keys() == expected.keys()
    for key, sums in got.items():
        figures = model_quality(sums, task_of(total_of(got, key)), mature=False, window_ms=3_600_000)
        assert figures.keys() == dict(list(expected[key].items())[4:]).keys() > LEARNT
        for name in figures.keys() - LEARNT:
            value, wanted = figures[name], expected[key][name]
            assert value == (None if wanted is None else pytest.approx(wanted, rel=1e-12)), (key, name)
    classes = defaultdict(list)
    for row in lines(out / "class_quality.ndjson"):
        classes[tuple(list(row.values())[:4])].append(dict(list(row.items())[4:]))
    for key, rows in classes.items():
        assert class_quality(got[key]) == rows


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def windows(place: Place) -> dict[tuple[object, ...], PaneSums]:  # noqa: F811
    """Merge the newest row of each pane and partition into windows, keyed as in a replay's files."""
    newest: dict[tuple[object, ...], tuple[int, PaneSums]] = {}
    for kind, value in place.read(place.topics["pane_updates"]):
        if kind != messages.PANES:
            continue
        batch = messages.decode_panes(value)
        for row, sums in zip(batch.to_pylist(), read_panes(batch), strict=True):
            key = tuple(row[n] for n in ("model", "model_version", "segment", "pane_start", "partition"))
            if row["revision"] > newest.get(key, (-1, None))[0]:
                newest[key] = (row["revision"], sums)
    merged: dict[tuple[object, ...], PaneSums] = defaultdict(PaneSums)
    for (model, version, segment, pane_start, _), (_, sums) in newest.items():
        start_s = int(pane_start.timestamp()) // 3_600 * 3_600
        text = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(start_s))
        merged[model, version, segment, text].add(sums)
    return merged


def labelled(merged: dict[tuple[object, ...], PaneSums]) -> int:
    return sum(sums.counts["labelled"] for sums in merged.values())


def labelled_of(rows: object) -> int:
    return sum(row["labelled"] for row in rows)


def total_of(merged: dict[tuple[object, ...], PaneSums], key: tuple[object, ...]) -> PaneSums:
    """Return all traffic of a model and version: its task is one for all windows."""
    total = PaneSums()
    for (model, version, segment, _), sums in merged.items():
        if (model, version, segment) == (*key[:2], ""):
            total.add(sums)
    return total
