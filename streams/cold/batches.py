"""Raw rows as tables keep them, turned back into decoded batches: in order of arrival, each event once."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from schemas.columns import INFERENCE_COLUMNS, LABEL_COLUMNS, TIMESTAMP
from schemas.records import DecodedBatch, IntArray
from streams.cold.scalars import scalars_of_json, scalars_of_kinds

ROWS_AT_ONCE = 65_536
# What is read of each raw table; the other columns change no figure.
PREDICTIONS = (
    "prediction_id",
    "model",
    "model_version",
    "timestamp",
    "prediction",
    "prediction_kind",
    "prediction_number",
    "scores",
    "scores_given",
    "features",
    "segments",
    "status",
    "latency_ms",
    "cost",
    "role",
    "prediction_lower",
    "prediction_upper",
    "partition",
    "offset",
    "received_at",
)
LABELS = (
    "prediction_id",
    "model",
    "label",
    "label_kind",
    "label_number",
    "timestamp",
    "source",
    "sampling_probability",
    "value",
    "partition",
    "offset",
    "received_at",
)


def in_order(rows: pa.Table) -> pa.RecordBatch:
    """Return rows sorted by record time, partition and offset, what was written twice left out."""
    keys = [
        np.asarray(rows.column(name).combine_chunks().cast(pa.int64()))
        for name in ("offset", "partition", "received_at")
    ]
    order = np.lexsort(keys)
    again = np.ones(len(order) - 1, bool) if len(order) else np.zeros(0, bool)
    for key in keys:
        again &= np.diff(key[order]) == 0
    order = order[np.concatenate([np.ones(min(1, len(order)), bool), ~again])]
    columns = [column.combine_chunks().take(pa.array(order)) for column in rows.columns]
    return pa.RecordBatch.from_arrays(columns, names=rows.column_names)


def decoded_predictions(rows: pa.RecordBatch, ids: pa.StringArray, offset: int) -> Iterator[DecodedBatch]:
    """Yield rows of ``predictions`` in their order as decoded batches, under ``ids`` and new offsets."""
    for begin in range(0, rows.num_rows, ROWS_AT_ONCE):
        part = rows.slice(begin, ROWS_AT_ONCE)
        columns = {
            "prediction_id": ids.slice(begin, ROWS_AT_ONCE),
            "prediction": _scalar(part, "prediction"),
            "scores": _scores(part),
            "features": _features(part.column("features")),
            "offset": pa.array(np.arange(part.num_rows) + offset + begin),
            "record_time_ms": part.column("received_at").cast(pa.int64()),
        }
        yield DecodedBatch(_batch(part, columns, INFERENCE_COLUMNS))


def decoded_labels(rows: pa.RecordBatch, offset: int) -> Iterator[DecodedBatch]:
    """Yield rows of ``labels`` likewise."""
    for begin in range(0, rows.num_rows, ROWS_AT_ONCE):
        part = rows.slice(begin, ROWS_AT_ONCE)
        columns = {
            "label": _scalar(part, "label"),
            # Those of the partitions would meet: the join tells labels apart by their offsets.
            "offset": pa.array(np.arange(part.num_rows) + offset + begin),
            "record_time_ms": part.column("received_at").cast(pa.int64()),
        }
        yield DecodedBatch(_batch(part, columns, LABEL_COLUMNS))


def _batch(part: pa.RecordBatch, columns: dict[str, pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field in schema:
        if field.name in columns:
            arrays.append(columns[field.name])
        elif field.name not in part.schema.names:
            arrays.append(pa.nulls(part.num_rows, field.type))
        elif pa.types.is_map(field.type):
            arrays.append(_map(part.column(field.name), field.type))
        elif field.type == TIMESTAMP:
            arrays.append(part.column(field.name).cast(pa.timestamp("ms", tz="UTC")).cast(TIMESTAMP))
        else:
            arrays.append(part.column(field.name).cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _scalar(part: pa.RecordBatch, name: str) -> pa.UnionArray:
    return scalars_of_kinds(part.column(name), part.column(f"{name}_kind"), part.column(f"{name}_number"))


def _scores(part: pa.RecordBatch) -> pa.MapArray:
    column = part.column("scores")
    offsets, begin, end = _bounds(column)
    return pa.MapArray.from_arrays(
        pa.array(offsets, pa.int32()),
        column.keys.slice(begin, end - begin),
        column.items.slice(begin, end - begin),
        type=INFERENCE_COLUMNS.field("scores").type,
        mask=pa.array(~np.asarray(part.column("scores_given").cast(pa.bool_()))),
    )


def _features(column: pa.MapArray) -> pa.MapArray:
    offsets, begin, end = _bounds(column)
    return pa.MapArray.from_arrays(
        pa.array(offsets, pa.int32()),
        column.keys.slice(begin, end - begin),
        scalars_of_json(column.items.slice(begin, end - begin)),
        type=INFERENCE_COLUMNS.field("features").type,
    )


def _map(column: pa.MapArray, kind: pa.DataType) -> pa.MapArray:
    offsets, begin, end = _bounds(column)
    return pa.MapArray.from_arrays(
        pa.array(offsets, pa.int32()),
        column.keys.slice(begin, end - begin),
        column.items.slice(begin, end - begin),
        type=kind,
    )


def _bounds(column: pa.MapArray) -> tuple[IntArray, int, int]:
    offsets = np.asarray(column.offsets).astype(np.int64)
    return offsets - offsets[0], int(offsets[0]), int(offsets[-1])
