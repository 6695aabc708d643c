"""Rings that fill, empty and grow while their contents go around the end lose and mix up nothing."""

import random

import pytest
from stage_oracle import Oracle, decoded, rows_of

from schemas.settings import JoinSettings, MonitorSettings
from streams.join import hot, vectors
from streams.join.pages import Pages
from streams.partition import PartitionStage

START_MS = 1_780_000_000_000


SCORES = (None, {"a": 0.25, "b": 0.5, "c": 0.25}, {"a": 0.3}, {"a": 0.1, "b": 0.2, "d": 0.3, "e": 0.4})


@pytest.fixture
def moves(monkeypatch):
    """Count how often rows had to move because a ring grew while it went around its end."""
    seen = []
    grow = Pages.grow

    def counted(self, rows, head, count):
        seen.append(grow(self, rows, head, count))
        return seen[-1]

    monkeypatch.setattr(hot, "FIRST_ROWS", 8)
    monkeypatch.setattr(vectors, "FIRST_VALUES", 8)
    monkeypatch.setattr(Pages, "grow", counted)
    return seen


def prediction(i, time_ms):
    return {
        "prediction_id": str(i), "model": "m", "model_version": "", "timestamp": time_ms, "prediction": "a",
        "scores": SCORES[i % len(SCORES)], "features": {}, "segments": {}, "status": "ok",
        "latency_ms": None, "cost": None, "role": "primary", "record_time_ms": time_ms,
    }  # fmt: skip


def label(rng, i, time_ms):
    return {
        "prediction_id": str(i), "model": "", "label": rng.choice("ab"), "timestamp": time_ms, "source": "",
        "sampling_probability": None, "value": None, "record_time_ms": time_ms,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_bursts_of_every_size_add_up_while_the_floor_rises(moves, seed):
    rng = random.Random(seed)
    stage = PartitionStage(0, 1, 0, JoinSettings(hot_horizon_ms=5_000), MonitorSettings(pane_width_ms=1_000))
    oracle, sent, n, known = Oracle(1_000), [], 0, []
    counts = {"inference": 0, "label": 0}
    for second in range(150):
        now_ms = START_MS + 1_000 * second
        burst = rng.choice([0, 1, 3, 3, 10, 10, 40])
        said = [prediction(n + i, now_ms + rng.randint(-900, 99)) for i in range(burst)]
        known = (known + [p["prediction_id"] for p in said])[-60:]
        n += burst
        truth = [label(rng, rng.choice(known), now_ms) for _ in range(rng.choice([0, 2, 5, 30])) if known]
        for kind, events, apply, tell in (
            ("inference", said, stage.apply_inference, oracle.predict),
            ("label", truth, stage.apply_labels, oracle.label),
        ):
            if events:
                apply(decoded(kind, events, counts[kind]))
                counts[kind] += len(events)
                for event in events:
                    tell(event)
        stage.advance(now_ms, now_ms)
        oracle.floor_ms = max(oracle.floor_ms, (now_ms - 5_000) // 1_000 * 1_000)
        sent.append(stage.take_changed())
    rows = {key: row for key, row in rows_of(sent).items() if row["predictions"]}
    assert rows == oracle.rows()
    assert sum(moves) > 0, "no ring grew around its end: the bursts no longer test what they should"
