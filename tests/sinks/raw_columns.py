"""Decoded predictions and labels, as the raw role hands them to the writer."""

from typing import Any

import numpy as np
import pyarrow as pa

from schemas.columns import INFERENCE_COLUMNS, LABEL_COLUMNS

T0_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows


def scalars(values: list[Any]) -> pa.UnionArray:
    kinds = {type(None): 0, bool: 1, int: 2, float: 3, str: 4}
    codes = [kinds[type(value)] for value in values]
    types = (pa.null(), pa.bool_(), pa.int64(), pa.float64(), pa.string())
    children = [
        pa.array([value if code == kind else None for value, code in zip(values, codes, strict=True)], arrow)
        for kind, arrow in enumerate(types)
    ]
    names = ["null", "bit", "bigint", "float8", "varchar"]
    return pa.UnionArray.from_sparse(pa.array(codes, pa.int8()), children, names)


def predictions(values: list[Any], features: list[dict[str, Any]] | None = None) -> pa.RecordBatch:
    n = len(values)
    features = features or [{} for _ in values]
    flat = [value for row in features for value in row.values()]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in features])]).astype(np.int32)
    names = [name for row in features for name in row]
    columns = {
        "prediction_id": pa.array([f"p{i}" for i in range(n)]),
        "model": pa.array(["m"] * n),
        "model_version": pa.array(["1"] * n),
        "timestamp": pa.array([T0_MS + i for i in range(n)], pa.timestamp("ms")),
        "prediction": scalars(values),
        "scores": pa.array([[("a", 0.25)] if i % 2 else None for i in range(n)], pa.map_("string", "double")),
        "features": pa.MapArray.from_arrays(pa.array(offsets), pa.array(names, pa.string()), scalars(flat)),
        "segments": pa.array([[("country", "de")]] * n, pa.map_("string", "string")),
        "status": pa.array(["ok"] * n),
        "latency_ms": pa.array([None if i % 2 else 1.5 for i in range(n)], pa.float64()),
        "cost": pa.nulls(n, pa.float64()),
        "request_id": pa.nulls(n, pa.string()),
        "role": pa.array(["primary"] * n),
        "artifact_hash": pa.nulls(n, pa.string()),
        "trace_id": pa.array(["t"] * n),
        "prediction_lower": pa.array([0.5 if i % 2 else None for i in range(n)], pa.float64()),
        "prediction_upper": pa.array([1.5 if i % 2 else None for i in range(n)], pa.float64()),
        "offset": pa.array(range(n), pa.int64()),
        "record_time_ms": pa.array([T0_MS + 5] * n, pa.int64()),
    }
    schema = INFERENCE_COLUMNS
    return pa.RecordBatch.from_arrays([_cast(columns[f.name], f) for f in schema], schema=schema)


def labels(values: list[Any], models: list[str] | None = None, step_ms: int = 1) -> pa.RecordBatch:
    n = len(values)
    columns = {
        "prediction_id": pa.array([f"p{i}" for i in range(n)]),
        "model": pa.array(models or [""] * n),
        "label": scalars(values),
        "timestamp": pa.array([T0_MS + i * step_ms for i in range(n)], pa.timestamp("ms")),
        "source": pa.array(["review"] * n),
        "sampling_probability": pa.array([0.5] * n),
        "value": pa.array([-3.25] * n),
        "offset": pa.array(range(n), pa.int64()),
        "record_time_ms": pa.array([T0_MS + 5] * n, pa.int64()),
    }
    return pa.RecordBatch.from_arrays(
        [_cast(columns[f.name], f) for f in LABEL_COLUMNS], schema=LABEL_COLUMNS
    )


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    if pa.types.is_map(field.type):
        return pa.MapArray.from_arrays(
            column.offsets, column.keys, column.items, type=field.type, mask=column.is_null()
        )
    return column
