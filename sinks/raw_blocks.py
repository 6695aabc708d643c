"""Messages of all topics that ClickHouse keeps as one block: a table of rows per ClickHouse table."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
import orjson
import pyarrow as pa

from schemas.features import FEATURE_COLUMNS
from schemas.findings import Calibration, DelayCurve, DriftEvent, LifecycleEvent, ModelState, Progress
from schemas.messages import (
    CALIBRATION,
    CURVE,
    DRIFT,
    FEATURES,
    PANES,
    PROGRESS,
    REFERENCE,
    STATE,
    alert_of,
    decode,
    decode_features,
    decode_panes,
    header_of,
)
from schemas.panes import PANE_COLUMNS
from schemas.records import DeadLetter, DecodedBatch, Headers, RawBatch
from schemas.references import FeatureReference
from sinks.clickhouse.rows import (
    alert_rows,
    calibration_rows,
    curve_rows,
    dead_letter_rows,
    drift_rows,
    lifecycle_rows,
    raw_rows,
    reference_rows,
    state_rows,
)


class Decoder(Protocol):
    """What turns records of the input topics into columns; ``streams.decode.Decoder`` is one."""

    def decode_inference(self, raw: RawBatch) -> DecodedBatch: ...

    def decode_labels(self, raw: RawBatch) -> DecodedBatch: ...

    def decode_lifecycle(self, raw: RawBatch) -> tuple[list[LifecycleEvent], tuple[DeadLetter, ...]]: ...


class Message(Protocol):
    """A fetched record, as librdkafka's Python client hands it out."""

    def topic(self) -> str: ...

    def partition(self) -> int: ...

    def offset(self) -> int: ...

    def key(self) -> bytes | None: ...

    def value(self) -> bytes | None: ...

    def timestamp(self) -> tuple[int, int]: ...

    def headers(self) -> Headers | None: ...


@dataclass(frozen=True, slots=True)
class RawTopics:
    """The topics that are kept, by the names that they have here."""

    inference: str = "inference-events"
    labels: str = "label-events"
    lifecycle: str = "lifecycle-events"
    pane_updates: str = "pane-updates"
    findings: str = "aftcast-findings"
    alerts: str = "alert-events"
    dead_letters: str = "dead-letter-events"


@dataclass(slots=True)
class Block:
    """What one round of fetching becomes.

    ``next_offsets`` is where reading goes on per (topic, partition) once ``tables`` are written.
    ``skipped`` counts records of input topics that are dead letters: the stream sends those onward, and
    they come by their own topic. ``progress`` is what partition 0 of pane-updates tells of all partitions.
    ``unreadable`` names records of our own topics that another version wrote.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    next_offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    records: int = 0
    skipped: int = 0
    unreadable: list[str] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)


def build_block(messages: Sequence[Message], topics: RawTopics, decoder: Decoder) -> Block:
    """Decode messages, which per topic partition are in offset order, into rows.

    Equal messages give equal rows, so that a block may be built and written again.
    """
    block = Block(records=len(messages))
    by_partition: dict[tuple[str, int], list[Message]] = defaultdict(list)
    for message in messages:
        by_partition[message.topic(), message.partition()].append(message)
    parts: dict[str, list[pa.Table]] = defaultdict(list)
    own = {
        topics.pane_updates: _panes,
        topics.findings: _findings,
        topics.alerts: _alerts,
        topics.dead_letters: _dead_letters,
    }
    for (topic, partition), records in by_partition.items():
        block.next_offsets[topic, partition] = records[-1].offset() + 1
        if topic in own:
            for table, rows in own[topic](records, block).items():
                parts[table].append(rows)
            continue
        raw = _raw_batch(topic, partition, records)
        if topic == topics.lifecycle:
            events, letters = decoder.decode_lifecycle(raw)
            kept = ~np.isin(raw.offsets, [letter.offset for letter in letters])
            rows = lifecycle_rows(events, raw.offsets[kept], raw.record_times_ms[kept], topic, partition)
            parts["lifecycle_events"].append(rows)
        else:
            inference = topic == topics.inference
            decoded = decoder.decode_inference(raw) if inference else decoder.decode_labels(raw)
            letters = decoded.dead_letters
            rows = raw_rows(decoded.columns, topic, partition)
            parts["predictions" if inference else "labels"].append(rows)
        block.skipped += len(letters)
    for table, tables in parts.items():
        rows = pa.concat_tables(tables)
        if rows.num_rows:
            block.tables[table] = rows
    return block


def _raw_batch(topic: str, partition: int, records: Sequence[Message]) -> RawBatch:
    headers = [record.headers() or () for record in records]
    n = len(records)
    return RawBatch(
        topic,
        partition,
        np.fromiter((record.offset() for record in records), np.int64, n),
        np.fromiter((record.timestamp()[1] for record in records), np.int64, n),
        [record.key() for record in records],
        [record.value() for record in records],
        headers if any(headers) else (),
    )


Tables = dict[str, pa.Table]
T = TypeVar("T")


def _panes(records: Sequence[Message], block: Block) -> Tables:
    read = {PANES: decode_panes, FEATURES: decode_features}
    batches: dict[bytes, list[pa.RecordBatch]] = {kind: [] for kind in read}
    for record in records:
        kind = header_of(record.headers())
        if kind in read and (rows := _read(record, read[kind], block)) is not None:
            batches[kind].append(rows)
        elif kind == PROGRESS and record.partition() == 0:
            report = _read(record, _decoder_of(Progress), block)
            block.progress += [] if report is None else [report]
    return {
        "rollups": pa.Table.from_batches(batches[PANES], PANE_COLUMNS),
        "feature_rollups": pa.Table.from_batches(batches[FEATURES], FEATURE_COLUMNS),
    }


_FINDINGS: dict[bytes, tuple[type, str, Callable[[list[Any]], pa.Table]]] = {
    DRIFT: (DriftEvent, "drift_events", drift_rows),
    STATE: (ModelState, "model_states", state_rows),
    CURVE: (DelayCurve, "delay_curves", curve_rows),
    CALIBRATION: (Calibration, "calibrations", calibration_rows),
    REFERENCE: (FeatureReference, "feature_references", reference_rows),
}


def _findings(records: Sequence[Message], block: Block) -> Tables:
    found: dict[bytes, list[Any]] = {kind: [] for kind in _FINDINGS}
    for record in records:
        kind = header_of(record.headers())
        if kind is not None and kind in found:
            finding = _read(record, _decoder_of(_FINDINGS[kind][0]), block)
            found[kind] += [] if finding is None else [finding]
    return {table: rows(found[kind]) for kind, (_, table, rows) in _FINDINGS.items()}


def _decoder_of(finding: type[T]) -> Callable[[bytes], T]:
    return lambda value: decode(value, finding)


def _alerts(records: Sequence[Message], block: Block) -> Tables:
    alerts = [_read(record, lambda value: alert_of(orjson.loads(value)), block) for record in records]
    return {"alerts": alert_rows([alert for alert in alerts if alert is not None])}


def _dead_letters(records: Sequence[Message], block: Block) -> Tables:
    letters = [_read(record, _letter, block) for record in records]
    return {"dead_letters": dead_letter_rows([letter for letter in letters if letter is not None])}


def _letter(value: bytes) -> DeadLetter:
    document: Mapping[str, object] = orjson.loads(value)
    return msgspec.convert(
        {"received_at_ms" if name == "received_at" else name: value for name, value in document.items()},
        DeadLetter,
    )


def _read(record: Message, read: Callable[[bytes], T], block: Block) -> T | None:
    value = record.value()
    try:
        if value is not None:
            return read(value)
        reason = "no value"
    except (ValueError, TypeError, AttributeError, OSError, msgspec.MsgspecError, pa.ArrowException) as error:
        reason = str(error).split("\n", 1)[0]
    block.unreadable.append(f"{record.topic()}[{record.partition()}]@{record.offset()}: {reason}")
    return None


def count_rows(block: Block) -> Counter[str]:
    """Return how many rows the block has per table."""
    return Counter({table: rows.num_rows for table, rows in block.tables.items()})
