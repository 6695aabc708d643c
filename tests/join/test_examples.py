"""Examples of wrong answers: which ids, of which panes, and that neither order nor batches decide."""

import random
import sys
from pathlib import Path

import pytest

from schemas.panes import MOST_EXAMPLES
from schemas.settings import JoinSettings, MonitorSettings
from streams.partition import PartitionStage

sys.path.append(str(Path(__file__).parents[1] / "laws"))
from stage_oracle import decoded

START_MS = 1_780_000_020_000
WIDTH_MS = 60_000
BITS = (1 << 64) - 1


def hash_of(text):
    """Return 64 bits of a text, eight bytes at a time."""
    data = text.encode()
    h = len(data) * 0x9E3779B97F4A7C15 & BITS
    for i in range(0, len(data), 8):
        h = (h ^ int.from_bytes(data[i : i + 8], "little")) * 0xBF58476D1CE4E5B9 & BITS
        h ^= h >> 29
    h = h * 0x94D049BB133111EB & BITS
    return h ^ (h >> 32)


def prediction(i, time_ms, value, **more):
    event = {"prediction_id": i, "model": "m", "timestamp": time_ms, "prediction": value, "features": {}}
    return event | {"segments": {"k": "v"}, "record_time_ms": time_ms} | more


def label(i, value, time_ms):
    return {"prediction_id": i, "label": value, "timestamp": time_ms, "record_time_ms": time_ms}


def stage(**more):
    return PartitionStage(0, 1, 0, JoinSettings(**more), MonitorSettings(pane_width_ms=WIDTH_MS))


def examples_of(hot):
    return {
        (row["model"], row["pane_start"].timestamp() * 1000): row["examples"]
        for batch in hot.panes_of()
        for row in batch.to_pylist()
        if not row["segment"]
    }


def history(rng):
    said, truth = [], []
    for i in range(3_000):
        name, time_ms = f"{i}-é{rng.random()}", START_MS + rng.randrange(300 * WIDTH_MS)
        number = i % 3 == 0
        value = rng.random() if number else rng.choice("ab")
        said.append(prediction(name, time_ms, value, model="price" if number else "m"))
        if rng.random() < 0.9:
            truth.append(label(name, 0.5 if number else rng.choice("ab"), time_ms + 1_000))
    return said, truth


@pytest.mark.parametrize("size", [97, 10_000])
def test_they_are_the_wrong_answers_with_the_smallest_hashes_whatever_the_order(size):
    rng = random.Random(5)
    said, truth = history(rng)
    labelled = {event["prediction_id"]: event["label"] for event in truth}
    expected = {}
    for event in said:
        pane_ms = event["timestamp"] // WIDTH_MS * WIDTH_MS
        ids = expected.setdefault((event["model"], float(pane_ms)), [])
        name = event["prediction_id"]
        if name in labelled and (event["model"] == "price" or labelled[name] != event["prediction"]):
            ids.append(name)
    expected = {key: sorted(ids, key=hash_of)[:MOST_EXAMPLES] for key, ids in expected.items()}
    for _ in range(2):
        hot, pending = stage(), {"inference": said[:], "label": truth[:]}
        offsets = {"inference": 0, "label": 0}
        while any(pending.values()):
            kind = rng.choice([kind for kind, left in pending.items() if left])
            batch, pending[kind] = pending[kind][:size], pending[kind][size:]
            apply = hot.apply_inference if kind == "inference" else hot.apply_labels
            apply(decoded(kind, batch, offsets[kind]))
            offsets[kind] += len(batch)
        assert examples_of(hot) == expected
        rng.shuffle(said)
        rng.shuffle(truth)


def test_a_prediction_labelled_again_is_one_example_and_stays_when_it_turns_out_right():
    hot = stage()
    hot.apply_inference(decoded("inference", [prediction("x", START_MS, "a")]))
    for k, value in enumerate(("b", "c", "a")):
        hot.apply_labels(decoded("label", [label("x", value, START_MS + k)], k))
    assert list(examples_of(hot).values()) == [["x"]]


def test_failed_and_unlabelled_predictions_and_rows_of_segments_have_none():
    hot = stage()
    failed = prediction("f", START_MS, None, status="timeout")
    hot.apply_inference(decoded("inference", [failed, prediction("w", START_MS, "a")]))
    hot.apply_labels(decoded("label", [label("f", "b", START_MS)]))
    assert list(examples_of(hot).values()) == [[]]
    hot.apply_labels(decoded("label", [label("w", "b", START_MS)], 1))
    rows = {row["segment"]: row["examples"] for row in hot.take_changed().to_pylist()}
    assert rows == {"": ["w"], "k=v": []}


def test_they_go_when_their_pane_goes_and_the_others_stay():
    hot = stage(hot_horizon_ms=10 * WIDTH_MS)
    for minute in range(100):
        now_ms = START_MS + minute * WIDTH_MS
        names = [f"{minute}-{i}" for i in range(5)]
        said = [prediction(name, now_ms, "a", model=f"m{minute % 2}") for name in names]
        hot.apply_inference(decoded("inference", said, 5 * minute))
        hot.apply_labels(decoded("label", [label(name, "b", now_ms) for name in names], 5 * minute))
        hot.advance(now_ms, now_ms)
    found = examples_of(hot)
    assert len(found) == 11
    for minute in range(89, 100):
        ids = sorted((f"{minute}-{i}" for i in range(5)), key=hash_of)[:MOST_EXAMPLES]
        assert found[f"m{minute % 2}", float(START_MS + minute * WIDTH_MS)] == ids
