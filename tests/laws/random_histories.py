"""Histories from a seed: quicker than drawing them one by one where thousands are wanted."""

from test_law_stage_equals_oracle import START_MS

IDS = "abcdefg"


def random_history(rng, length=40):
    """Return up to ``length`` events as (kind, event), of few ids, so that they collide."""
    ids = IDS[: rng.randint(2, len(IDS))]
    return [
        ("inference", _prediction(rng, ids)) if rng.random() < 0.5 else ("label", _label(rng, ids))
        for _ in range(rng.randint(4, length))
    ]


def _prediction(rng, ids):
    time_ms = START_MS + rng.randint(0, 5_000)
    return {
        "prediction_id": rng.choice(ids),
        "model": rng.choice("mn"),
        "model_version": rng.choice(["", "2"]),
        "timestamp": time_ms,
        "prediction": rng.choice([True, 0, 1, "a", "b", 2.5, 1.0]),
        "prediction_lower": None,
        "prediction_upper": None,
        "scores": None,
        "features": {"x": rng.random()},
        "segments": rng.choice([{}, {"k": "x"}]),
        "status": "timeout" if rng.random() < 0.15 else "ok",
        "latency_ms": rng.choice([None, 3.0]),
        "cost": None,
        "role": "test" if rng.random() < 0.1 else "primary",
        "record_time_ms": time_ms,
    }


def _label(rng, ids):
    time_ms = START_MS + rng.randint(0, 5_000) + rng.choice([-1, 0, 0, 3_000])
    return {
        "prediction_id": rng.choice(ids),
        "model": rng.choice(["", "", "m", "n"]),
        "label": rng.choice([None, True, 0, 1, "a", "b", 2.5]),
        "timestamp": rng.choice([START_MS, time_ms]),
        "source": rng.choice(["", "b"]),
        "sampling_probability": rng.choice([None, 0.5]),
        "value": rng.choice([None, 1.5]),
        "record_time_ms": time_ms,
    }
