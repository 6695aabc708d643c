"""Rows of features as panes would have counted them, from plain values."""

from typing import Any

import numpy as np
import pyarrow as pa

from schemas.features import FEATURE_COLUMNS, MOST_CATEGORIES, grid_cell


def feature_row(
    values: list[Any],
    *,
    feature: str = "f",
    start_ms: int = 0,
    model: str = "m",
    version: str = "1",
    segment: str = "",
    partition: int = 0,
    revision: int = 1,
    signal: str = "feature",
) -> dict[str, Any]:
    """Return the row of one pane; None is a missing value, numbers and texts may be mixed."""
    there = [value for value in values if value is not None]
    texts = [value for value in there if isinstance(value, str)]
    numbers = np.array([value for value in there if not isinstance(value, str)], np.float64)
    cells: dict[int, int] = {}
    for number in numbers.tolist():
        cells[grid_cell(number)] = cells.get(grid_cell(number), 0) + 1
    categories: dict[str, int] = {}
    other = 0
    for text in texts:
        if text in categories or len(categories) < MOST_CATEGORIES:
            categories[text] = categories.get(text, 0) + 1
        else:
            other += 1
    return {
        "model": model,
        "model_version": version,
        "segment": segment,
        "pane_start": start_ms,
        "partition": partition,
        "revision": revision,
        "signal": signal,
        "feature": feature,
        "n": len(there),
        "numbers": len(numbers),
        "sum": float(numbers.sum()),
        "m2": float(((numbers - numbers.mean()) ** 2).sum()) if len(numbers) else 0.0,
        "cells": sorted(cells),
        "cell_counts": [cells[cell] for cell in sorted(cells)],
        "categories": list(categories.items()),
        "other": other,
    }


def feature_batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=FEATURE_COLUMNS)
