"""Encoded traffic for the benchmarks: predictions with ten features, and a label for each."""

import numpy as np

from schemas.contracts import encode_single_object
from schemas.records import RawBatch

START_MS = 1_767_225_600_000
DELAY_MS = 600_000  # of every label


def predictions(first, count, rate_per_ms=20.0, seed=0, start_ms=START_MS, features=True):
    """Return dicts of ``count`` predictions, numbered from ``first``, with ten features or none."""
    rng = np.random.default_rng((seed, first))
    scores = rng.random(count)
    numbers = rng.normal(size=(count, 8)).tolist()
    countries = rng.choice(["DE", "FR", "US", "JP", "BR"], count).tolist()
    return [
        {
            "prediction_id": f"7c9e6679-7425-40de-944b-{first + i:012d}",
            "model": "fraud",
            "model_version": "3",
            "timestamp": start_ms + int((first + i) / rate_per_ms),
            "prediction": "fraud" if scores[i] > 0.5 else "fine",
            "scores": {"fraud": float(scores[i])},
            "features": {f"amount_{k}": x for k, x in enumerate(numbers[i])}
            | {"kind": "card", "age": 40 + i % 40}
            if features
            else {},
            "segments": {"country": countries[i]},
            "latency_ms": 5.0 + 20.0 * float(scores[i]),
            "cost": 0.001,
        }
        for i in range(count)
    ]


def labels(first, count, rate_per_ms=20.0, seed=0, start_ms=START_MS):
    """Return dicts of the labels of ``predictions(first, count)``; about nine in ten agree."""
    rng = np.random.default_rng((seed, first, 1))
    agrees = rng.random(count) < 0.9
    said = [p["prediction"] for p in predictions(first, count, rate_per_ms, seed)]
    other = {"fraud": "fine", "fine": "fraud"}
    return [
        {
            "prediction_id": f"7c9e6679-7425-40de-944b-{first + i:012d}",
            "label": said[i] if agrees[i] else other[said[i]],
            "timestamp": start_ms + int((first + i) / rate_per_ms) + DELAY_MS,
        }
        for i in range(count)
    ]


def encode(kind, records):
    """Return records in Avro single-object encoding; ``kind`` is InferenceEvent or LabelEvent."""
    return [encode_single_object(kind, record) for record in records]


def raw_batch(topic, first, values, times_ms):
    n = len(values)
    return RawBatch(topic, 0, np.arange(first, first + n), np.asarray(times_ms, np.int64), [None] * n, values)
