"""What the features of one partition must add up to, computed the slow and obvious way."""

from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np

from schemas.features import grid_cell
from streams.decode import Decoder


def decoded(records, first_offset=0):
    """Return dicts with the fields of a prediction, and ``record_time_ms``, as a decoded batch."""
    records = [dict(record) for record in records]
    times = np.array([record.pop("record_time_ms", record["timestamp"]) for record in records], np.int64)
    offsets = np.arange(first_offset, first_offset + len(records))
    batch = Decoder().decode_records("inference", records, offsets, times, "test")
    assert not batch.dead_letters
    return batch


class FeatureOracle:
    """Counts each value of each prediction by hand."""

    def __init__(self, width_ms, asked=()):
        self.width_ms = width_ms
        self.asked = asked
        self.values = defaultdict(list)  # key -> values

    def add(self, event):
        segments = ["", *(f"{k}={v}" for k, v in event.get("segments", {}).items())]
        start_ms = event["timestamp"] // self.width_ms * self.width_ms
        for segment in segments:
            if segment and segment not in self.asked:
                continue
            of = (event["model"], event.get("model_version", ""), segment, start_ms)
            for name, value in event["features"].items():
                if value is not None:
                    self.values[*of, "feature", name].append(value)
            said = event.get("prediction")
            is_number = isinstance(said, int | float) and not isinstance(said, bool)
            if is_number and event.get("status", "ok") == "ok" and not event.get("scores"):
                self.values[*of, "prediction", ""].append(said)

    def drop_below(self, floor_ms):
        for key in [key for key in self.values if key[3] < floor_ms]:
            del self.values[key]

    def rows(self):
        return {key: summary(values) for key, values in self.values.items()}


def summary(values):
    """Return what one row must say of these values, as ``told`` returns it of a row."""
    numbers = [float(v) for v in values if not isinstance(v, bool | str)]
    others = [str(v).lower() if isinstance(v, bool) else v for v in values if isinstance(v, bool | str)]
    exact = [Fraction(x) for x in numbers]
    total = sum(exact, Fraction(0))
    m2 = sum(x * x for x in exact) - total * total / len(exact) if exact else Fraction(0)
    short = Counter(text for text in others if len(text.encode()) <= 100)
    return {
        "n": len(values),
        "numbers": len(numbers),
        "sum": float(total),
        "m2": float(m2),
        "cells": dict(sorted(Counter(map(grid_cell, numbers)).items())),
        "categories": dict(short),
        "other": sum(len(text.encode()) > 100 for text in others),
    }


def told(rows):
    """Return rows of FEATURE_COLUMNS by their keys."""
    found = {}
    for row in rows.to_pylist():
        key = (
            row["model"], row["model_version"], row["segment"], int(row["pane_start"].timestamp() * 1000),
            row["signal"], row["feature"],
        )  # fmt: skip
        assert key not in found
        assert row["cells"] == sorted(row["cells"])
        found[key] = {
            "n": row["n"],
            "numbers": row["numbers"],
            "sum": row["sum"],
            "m2": row["m2"],
            "cells": dict(zip(row["cells"], row["cell_counts"], strict=True)),
            "categories": dict(row["categories"]),
            "other": row["other"],
        }
    return found
