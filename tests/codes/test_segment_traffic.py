"""Of a segment key with many values the largest by recent traffic have names, however late they come."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from schemas.settings import JoinSettings, MonitorSettings
from streams.codes import traffic
from streams.codes.segments import CROWDED, SEGMENT_VALUES_PER_KEY, Segments
from streams.partition import PartitionStage

sys.path.append(str(Path(__file__).parents[1] / "laws"))
from stage_oracle import decoded

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def names_of(values, times_ms, cuts, width_ms=MINUTE_MS):
    """Return the name that each value gets, fed in batches that end at ``cuts``."""
    segments, out, begin = Segments(width_ms), [], 0
    for end in [*cuts, len(values)]:
        texts = sorted(set(values[begin:end]))
        place = {text: i for i, text in enumerate(texts)}
        codes = [CROWDED] * (end - begin)
        for i in range(begin, end):
            codes[i - begin] = segments.code(0, "k", values[i])
        crowded = [i for i, code in enumerate(codes) if code == CROWDED]
        if crowded:
            at = np.array([place[values[begin + i]] for i in crowded])
            when = np.array([times_ms[begin + i] for i in crowded], np.int64)
            found = segments.crowded(0, "k", texts, at, when).tolist()
            for i, code in zip(crowded, found, strict=True):
                codes[i] = code
        out += [segments.names.text(code).removeprefix("k=") for code in codes]
        begin = end
    return out


def zipf(rng, hours, per_hour=20_000):
    """Return values and times: first 150 rare ones, then Zipf traffic over 1,000 others."""
    shares = 1 / np.arange(1, 1_001) ** 1.1
    heavy = rng.choice(1_000, hours * per_hour, p=shares / shares.sum())
    values = [f"rare-{i}" for i in range(150)] + [f"v{i}" for i in heavy]
    times = np.sort(rng.integers(0, hours * HOUR_MS, len(values)))
    return values, times.tolist()


def test_heavy_values_that_come_late_get_their_names_and_the_rare_ones_give_way():
    values, times = zipf(np.random.default_rng(1), 5)
    names = names_of(values, times, range(5_000, len(values), 5_000))
    last_hour = Counter(n for n, t in zip(names, times, strict=True) if t >= 4 * HOUR_MS)
    truth = Counter(v for v, t in zip(values, times, strict=True) if t >= 4 * HOUR_MS)
    kept = set(last_hour) - {"other"}
    assert {value for value, _ in truth.most_common(60)} <= kept
    assert len(kept) <= SEGMENT_VALUES_PER_KEY + 5  # a few changed places within the hour
    # Nothing is named before an hour is counted, and never a wrong name.
    assert not any(n.startswith("v") and t < HOUR_MS - MINUTE_MS for n, t in zip(names, times, strict=True))
    assert all(n in (v, "other") for n, v in zip(names, values, strict=True))


def test_how_events_are_cut_into_batches_never_shows():
    rng = np.random.default_rng(2)
    values, times = zipf(rng, 3, 8_000)
    late = np.array(times) - rng.choice([0, 0, 0, 90_000], len(times))  # some come late
    whole = names_of(values, late.tolist(), [])
    for cuts in (range(997, len(values), 997), sorted(rng.integers(0, len(values), 40).tolist())):
        assert names_of(values, late.tolist(), cuts) == whole


def test_values_of_equal_traffic_never_take_each_others_place():
    rng = np.random.default_rng(3)
    values = [f"v{i}" for i in range(300)] + [f"v{i}" for i in rng.integers(0, 300, 100_000)]
    times = np.sort(rng.integers(0, 6 * HOUR_MS, len(values))).tolist()
    names = set(names_of(values, times, []))
    assert names == {f"v{i}" for i in range(100)} | {"other"}


def test_values_that_come_once_each_never_get_a_name_and_take_bounded_memory():
    segments = Segments(MINUTE_MS)
    for i in range(SEGMENT_VALUES_PER_KEY):
        segments.code(0, "user", f"old-{i}")
    assert segments.code(0, "user", "new") == CROWDED
    for batch in range(20):
        texts = [f"{batch}-{i}" for i in range(5_000)]
        when = np.linspace(batch * HOUR_MS / 4, (batch + 1) * HOUR_MS / 4 - 1, 5_000).astype(np.int64)
        segments.crowded(0, "user", texts, np.arange(5_000), when)
    assert len(segments.names) == 1 + SEGMENT_VALUES_PER_KEY + 1
    counts = segments._traffic[0, "user"]
    assert len(counts._counts) + len(counts._in_pane) <= traffic.MOST_TRACKED


def test_a_heavy_value_among_values_that_come_once_each_gets_its_name():
    rng = np.random.default_rng(4)
    values = [f"old-{i}" for i in range(100)]
    values += ["heavy" if rng.random() < 0.01 else f"once-{i}" for i in range(100_000)]
    times = np.linspace(0, 2 * HOUR_MS, len(values)).astype(np.int64).tolist()
    assert "heavy" in set(names_of(values, times, []))


@pytest.fixture(params=[1_000, 37])
def promoted(request):
    """A stage in which ``late`` took a name after its first predictions were counted in ``other``."""
    stage = PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    start_ms = 1_780_000_020_000
    said = [prediction(f"rare-{i}", start_ms, f"r{i}") for i in range(100)]
    for minute in range(70):
        said += [prediction(f"{minute}-{k}", start_ms + minute * MINUTE_MS + k, "late") for k in range(2)]
    for first in range(0, len(said), request.param):
        stage.apply_inference(decoded("inference", said[first : first + request.param], first))
    return stage, said


def prediction(i, time_ms, value):
    return {
        "prediction_id": i, "model": "m", "timestamp": time_ms, "prediction": "a", "features": {},
        "segments": {"k": value}, "record_time_ms": time_ms,
    }  # fmt: skip


def rows_by_segment(stage):
    rows = {}
    for row in (row for batch in stage.panes_of() for row in batch.to_pylist()):
        found = rows.setdefault(row["segment"], Counter())
        found.update({name: row[name] for name in ("predictions", "labelled", "hits")})
    return rows


def test_pairs_leave_and_enter_the_rows_that_their_predictions_entered(promoted):
    stage, said = promoted
    labels = [
        {
            "prediction_id": p["prediction_id"],
            "label": label,
            "timestamp": p["timestamp"] + after_ms,
            "record_time_ms": p["timestamp"] + after_ms,
        }
        for label, after_ms in (("b", 10), ("a", 20))
        for p in said
    ]
    stage.apply_labels(decoded("label", labels))
    rows = rows_by_segment(stage)
    assert rows["k=other"]["predictions"] == 2 * 60
    assert rows["k=late"]["predictions"] == 2 * 10
    for counts in rows.values():
        assert counts["predictions"] == counts["labelled"] == counts["hits"]
    assert sum(n["predictions"] for name, n in rows.items() if name) == rows[""]["predictions"] == 240
