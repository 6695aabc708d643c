"""How findings travel: rows of panes and features as Arrow streams, the rest as JSON, by a header."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from schemas.features import FEATURE_COLUMNS
from schemas.findings import AlertEvent
from schemas.panes import PANE_COLUMNS
from schemas.records import DeadLetter

KIND_HEADER = "kind"
PANES, PROGRESS, TOTALS, LIFECYCLE = b"panes", b"progress", b"totals", b"lifecycle"  # on pane-updates
FEATURES = b"features"  # likewise: rows of FEATURE_COLUMNS
TROUBLE = b"trouble"  # likewise, on partition 0 only
DRIFT, STATE = b"drift", b"state"  # on aftcast-findings
CURVE, CALIBRATION, REFERENCE = b"curve", b"calibration", b"reference"  # likewise

# A thread for each of some hundred small columns costs ten times what it does: 0.6 ms a message for 0.06 ms.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_READING = pa.ipc.IpcReadOptions(use_threads=False)
T = TypeVar("T")


def encode_panes(rows: pa.RecordBatch) -> bytes:
    """Return rows of the schema ``PANE_COLUMNS`` as an Arrow IPC stream, bodies compressed with lz4."""
    return _encoded(rows, PANE_COLUMNS)


def decode_panes(value: bytes) -> pa.RecordBatch:
    """Return the rows of one message; ``ValueError`` where another version wrote other columns."""
    return _decoded(value, PANE_COLUMNS)


def encode_features(rows: pa.RecordBatch) -> bytes:
    """Return rows of the schema ``FEATURE_COLUMNS``, as ``encode_panes`` does."""
    return _encoded(rows, FEATURE_COLUMNS)


def decode_features(value: bytes) -> pa.RecordBatch:
    """Return the rows of one message; ``ValueError`` where another version wrote other columns."""
    return _decoded(value, FEATURE_COLUMNS)


def _encoded(rows: pa.RecordBatch, columns: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, columns, options=_OPTIONS) as writer:
        writer.write_batch(rows)
    return bytes(sink.getvalue())


def _decoded(value: bytes, columns: pa.Schema) -> pa.RecordBatch:
    with pa.ipc.open_stream(value, options=_READING) as reader:
        if not reader.schema.equals(columns):
            raise ValueError(f"pane-updates: expected columns {columns.names}, got {reader.schema.names}")
        return reader.read_next_batch()


def encode(finding: object) -> bytes:
    """Return a dataclass of ``schemas.findings`` as JSON, field names as declared."""
    return msgspec.json.encode(finding)


def decode(value: bytes, kind: type[T]) -> T:
    """Return the finding that ``encode`` wrote; ``msgspec.ValidationError`` if it is no ``kind``."""
    return msgspec.json.decode(value, type=kind)


def alert_document(alert: AlertEvent) -> dict[str, Any]:
    """Return an alert under the field names of ``alert_event.avsc``, times as integer milliseconds."""
    document: dict[str, Any] = msgspec.to_builtins(alert)
    return {name.removesuffix("_ms"): value for name, value in document.items()}


def alert_of(document: Mapping[str, Any]) -> AlertEvent:
    """Return the alert that ``alert_document`` wrote; the inverse of it."""
    times = ("window_start", "window_end", "started_at", "timestamp")
    return msgspec.convert({k + "_ms" if k in times else k: v for k, v in document.items()}, AlertEvent)


def dead_letter_document(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter under the column names of ``dead_letters``; its key is the record's key."""
    return {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "field": letter.field,
        "value": letter.value,
        "received_at": letter.received_at_ms,
    }


def header_of(headers: Sequence[tuple[str, bytes | None]] | None, name: str = KIND_HEADER) -> bytes | None:
    """Return the value of the last header ``name``, None where there is none."""
    found = [value for key, value in headers or () if key == name]
    return found[-1] if found else None
