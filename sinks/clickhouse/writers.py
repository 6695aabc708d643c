"""What goes into each table: whole blocks, whose rows replace their equals, so writing twice is harmless."""

from collections.abc import Mapping, Sequence

import numpy as np
import orjson
import pyarrow as pa

from schemas.columns import SCALAR
from schemas.findings import AlertEvent, DriftEvent, ModelState, Scalar
from schemas.messages import alert_document
from schemas.panes import PANE_COLUMNS
from schemas.records import DeadLetter
from sinks.clickhouse.client import Client
from sinks.clickhouse.scalars import canonical_texts, json_texts, kind_names, numbers
from sinks.clickhouse.schema import TABLES

TIME = pa.timestamp("ms", tz="UTC")
TEXT_MAP = pa.map_(pa.string(), pa.string())


class Writer:
    """Writes to the tables of one database.

    Every method sends its rows as one block and returns when they are there; an empty block sends nothing.
    Where it raises ``UnreachableError`` the same block may be written again, as often as it takes.
    """

    def __init__(self, client: Client, database: str = "aftcast") -> None:
        self._client = client
        self._database = database

    def write_rollups(self, rows: pa.RecordBatch) -> None:
        """Write cumulative rows of the schema ``PANE_COLUMNS``; per key the largest revision stands."""
        self._insert("rollups", pa.Table.from_batches([rows], PANE_COLUMNS))

    def write_predictions(self, columns: pa.RecordBatch, topic: str, partition: int) -> None:
        """Write decoded predictions of one topic partition, schema ``INFERENCE_COLUMNS``."""
        self._insert("predictions", raw_rows(columns, topic, partition))

    def write_labels(self, columns: pa.RecordBatch, topic: str, partition: int) -> None:
        """Write decoded labels of one topic partition, schema ``LABEL_COLUMNS``."""
        self._insert("labels", raw_rows(columns, topic, partition))

    def write_lifecycle(self, columns: pa.RecordBatch, topic: str, partition: int) -> None:
        """Write decoded lifecycle events: the fields of the event, ``offset`` and ``record_time_ms``."""
        self._insert("lifecycle_events", raw_rows(columns, topic, partition))

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self._insert(
            "dead_letters",
            pa.table(
                {
                    "topic": pa.array([letter.topic for letter in letters], pa.string()),
                    "partition": pa.array([letter.partition for letter in letters], pa.int32()),
                    "offset": pa.array([letter.offset for letter in letters], pa.int64()),
                    "reason": pa.array([letter.reason for letter in letters], pa.string()),
                    "field": pa.array([letter.field for letter in letters], pa.string()),
                    "value": pa.array([letter.value for letter in letters], pa.string()),
                    "received_at": pa.array([letter.received_at_ms for letter in letters], TIME),
                }
            ),
        )

    def write_drift_events(self, events: Sequence[DriftEvent]) -> None:
        self._insert("drift_events", _table("drift_events", events))

    def write_model_states(self, states: Sequence[ModelState]) -> None:
        """Write states; per model and version the newest ``as_of`` stands."""
        self._insert("model_states", _table("model_states", states))

    def write_alerts(self, alerts: Sequence[AlertEvent]) -> None:
        """Write alert events, one row per ``event_id``."""
        documents = [alert_document(alert) for alert in alerts]
        columns = {name: [document[name] for document in documents] for name in TABLES["alerts"]}
        columns["evidence"] = [_evidence(alert.evidence) for alert in alerts]
        self._insert("alerts", pa.table({name: _typed(name, values) for name, values in columns.items()}))

    def _insert(self, table: str, rows: pa.Table) -> None:
        if rows.num_rows:
            self._client.insert(f"{self._database}.{table}", rows)


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
    n = columns.num_rows
    rows["topic"] = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), pa.array([topic]))
    rows["partition"] = pa.array(np.full(n, partition, np.int32))
    rows["offset"] = columns.column("offset")
    rows["received_at"] = columns.column("record_time_ms").cast(TIME)
    return pa.table(rows)


def _table(name: str, findings: Sequence[DriftEvent] | Sequence[ModelState]) -> pa.Table:
    columns = {}
    for column in TABLES[name]:
        attribute = column if not findings or hasattr(findings[0], column) else f"{column}_ms"
        columns[column] = _typed(column, [getattr(finding, attribute) for finding in findings])
    return pa.table(columns)


_TYPES = {
    **dict.fromkeys(("value", "threshold", "before", "after"), pa.float64()),
    **dict.fromkeys(("labels", "evidence"), TEXT_MAP),
    **dict.fromkeys(
        (
            "window_start",
            "window_end",
            "started_at",
            "timestamp",
            "detected_at",
            "change_start",
            "change_end",
            "mature_until",
            "as_of",
        ),
        TIME,
    ),
}


def _typed(column: str, values: Sequence[object]) -> pa.Array:
    kind = _TYPES.get(column, pa.string())
    if kind == TEXT_MAP:
        values = [list(value.items()) if isinstance(value, dict) else value for value in values]
    return pa.array(values, kind)


def _evidence(evidence: Mapping[str, Scalar]) -> list[tuple[str, str]]:
    return [(name, orjson.dumps(value).decode()) for name, value in evidence.items()]
