"""Events, findings and decoded columns as the rows of their tables, column names as declared."""

from collections.abc import Mapping, Sequence

import numpy as np
import orjson
import pyarrow as pa

from schemas.columns import SCALAR
from schemas.findings import (
    AlertEvent,
    Calibration,
    DelayCurve,
    DriftEvent,
    LifecycleEvent,
    ModelState,
    Scalar,
)
from schemas.messages import alert_document
from schemas.records import DeadLetter, IntArray
from schemas.references import FeatureReference
from sinks.clickhouse.scalars import canonical_texts, json_texts, kind_names, numbers
from sinks.clickhouse.schema import TABLES

TIME = pa.timestamp("ms", tz="UTC")
TEXT_MAP = pa.map_(pa.string(), pa.string())
_TIMES = (
    "window_start",
    "window_end",
    "started_at",
    "timestamp",
    "detected_at",
    "change_start",
    "change_end",
    "mature_until",
    "as_of",
    "since",
    "until",
    "received_at",
)
_TYPES = {
    "partition": pa.int32(),
    "offset": pa.int64(),
    **dict.fromkeys(("n", "predictions", "numbers", "rest"), pa.int64()),
    "hit": pa.bool_(),
    "reliable": pa.bool_(),
    "segments": pa.map_(pa.string(), pa.float64()),
    "examples": pa.list_(pa.string()),
    "skipped": pa.list_(pa.struct([("1", TIME), ("2", TIME)])),
    **dict.fromkeys(("arrived", "right", "values"), pa.list_(pa.float64())),
    **dict.fromkeys(("counts", "category_counts"), pa.list_(pa.int64())),
    "edges": pa.list_(pa.int32()),
    "categories": pa.list_(pa.string()),
    **dict.fromkeys(("sum", "m2", "level_per_s"), pa.float64()),
    **dict.fromkeys(("threshold", "before", "after", "change_low", "change_high"), pa.float64()),
    **dict.fromkeys(("horizon_s", "expected_coverage", "provable_change", "spread", "pane_s"), pa.float64()),
    **dict.fromkeys(("labels", "evidence", "attributes"), TEXT_MAP),
    **dict.fromkeys(_TIMES, TIME),
}


def raw_rows(columns: pa.RecordBatch, topic: str, partition: int) -> pa.Table:
    """Return decoded columns as rows of a raw table: scalars as text, then where each record stood."""
    rows: dict[str, pa.Array] = {}
    for field, column in zip(columns.schema, columns.columns, strict=True):
        if field.name in ("offset", "record_time_ms"):
            continue
        if field.type == SCALAR:
            rows[field.name] = canonical_texts(column)
            rows[f"{field.name}_kind"] = kind_names(column)
            rows[f"{field.name}_number"] = numbers(column)
        elif pa.types.is_map(field.type) and field.type.item_type == SCALAR:
            rows[field.name] = pa.MapArray.from_arrays(column.offsets, column.keys, json_texts(column.items))
        elif pa.types.is_timestamp(field.type):
            rows[field.name] = column.cast(TIME)
        else:
            rows[field.name] = column
        if field.name == "scores":
            rows["scores_given"] = column.is_valid()  # the table has no null for a map
    n = columns.num_rows
    rows["topic"] = pa.repeat(pa.scalar(topic), n)
    rows["partition"] = pa.array(np.full(n, partition, np.int32))
    rows["offset"] = columns.column("offset")
    rows["received_at"] = columns.column("record_time_ms").cast(TIME)
    return pa.table(rows)


def lifecycle_rows(
    events: Sequence[LifecycleEvent],
    offsets: IntArray,
    record_times_ms: IntArray,
    topic: str,
    partition: int,
) -> pa.Table:
    """Return one row per event; ``offsets`` and ``record_times_ms`` say where each event's record stood."""
    rows = _attributes(TABLES["lifecycle_events"][:-4], events)
    rows["topic"] = [topic] * len(events)
    rows["partition"] = [partition] * len(events)
    rows["offset"] = offsets.tolist()
    rows["received_at"] = record_times_ms.tolist()
    return _typed(rows)


def drift_rows(events: Sequence[DriftEvent]) -> pa.Table:
    return _typed(_attributes(TABLES["drift_events"], events))


def state_rows(states: Sequence[ModelState]) -> pa.Table:
    columns = [name for name in TABLES["model_states"] if name not in ("horizon_s", "skipped", "pane_s")]
    rows = _attributes(columns, states)
    rows["horizon_s"] = [None if s.horizon_ms is None else s.horizon_ms / 1000 for s in states]
    rows["pane_s"] = [s.pane_width_ms / 1000 for s in states]
    rows["skipped"] = [[{"1": start, "2": end} for start, end in s.skipped] for s in states]
    return _typed(rows)


def curve_rows(curves: Sequence[DelayCurve]) -> pa.Table:
    return _typed(_attributes(TABLES["delay_curves"], curves))


def calibration_rows(calibrations: Sequence[Calibration]) -> pa.Table:
    return _typed(_attributes(TABLES["calibrations"], calibrations))


def reference_rows(references: Sequence[FeatureReference]) -> pa.Table:
    return _typed(_attributes(TABLES["feature_references"], references))


def alert_rows(alerts: Sequence[AlertEvent]) -> pa.Table:
    documents = [alert_document(alert) for alert in alerts]
    rows = {name: [document[name] for document in documents] for name in TABLES["alerts"]}
    rows["evidence"] = [_evidence(alert.evidence) for alert in alerts]
    return _typed(rows, value=pa.float64())


def dead_letter_rows(letters: Sequence[DeadLetter]) -> pa.Table:
    return _typed(_attributes(TABLES["dead_letters"], letters))


def _attributes(columns: Sequence[str], things: Sequence[object]) -> dict[str, list[object]]:
    names = {name: f"{name}_ms" if name in _TIMES else name for name in columns}
    return {column: [getattr(thing, name) for thing in things] for column, name in names.items()}


def _typed(rows: Mapping[str, Sequence[object]], **types: pa.DataType) -> pa.Table:
    typed = {}
    for name, values in rows.items():
        kind = types.get(name) or _TYPES.get(name, pa.string())
        # Arrow takes maps as pairs only.
        plain = [list(value.items()) if isinstance(value, dict) else value for value in values]
        typed[name] = pa.array(plain, kind)
    return pa.table(typed)


def _evidence(evidence: Mapping[str, Scalar]) -> dict[str, str]:
    return {name: orjson.dumps(value).decode() for name, value in evidence.items()}
