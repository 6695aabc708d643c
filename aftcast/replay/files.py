"""Recorded events from files: NDJSON, Avro containers, Parquet and CSV, or .gz, told apart by suffix."""

import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aftcast.failure import Failure
from aftcast.replay.tables import csv_records, nested
from schemas.findings import LifecycleEvent
from schemas.records import DeadLetter, DecodedBatch, RawBatch
from streams.decode import Decoder

Kind = Literal["inference", "label"]
RECORDS_AT_ONCE = 20_000
SUFFIXES = (".ndjson", ".jsonl", ".json", ".avro", ".parquet", ".csv")
NO_TIME = -1  # a record in a file has no Kafka time; its own timestamp stands for it


def read_events(path: Path, kind: Kind, decoder: Decoder) -> Iterator[DecodedBatch]:
    """Read one file in batches.

    Of the batches' coordinates, ``offset`` is the 1-based number of the record in the file; dead letters
    name the file as their topic. Blank lines are no records.

    Raises
    ------
    Failure
        If the suffix is unknown, or the file as a whole is not what its suffix says.
    """
    suffix = _suffix(path)
    if suffix in (".ndjson", ".jsonl", ".json"):
        for raw in _lines(path):
            yield decoder.decode_inference(raw) if kind == "inference" else decoder.decode_labels(raw)
        return
    number = 0
    records = _records(path, suffix)
    while chunk := list(islice(records, RECORDS_AT_ONCE)):
        broken = [record for record in chunk if isinstance(record, DeadLetter)]
        good = [(number + i, r) for i, r in enumerate(chunk, 1) if not isinstance(r, DeadLetter)]
        batch = decoder.decode_records(
            kind,
            [record for _, record in good],
            np.array([i for i, _ in good], np.int64),
            np.full(len(good), NO_TIME, np.int64),
            str(path),
        )
        yield DecodedBatch(batch.columns, (*batch.dead_letters, *broken), batch.unknown_fields)
        number += len(chunk)


def read_lifecycle(path: Path, decoder: Decoder) -> tuple[list[LifecycleEvent], list[DeadLetter]]:
    """Read one NDJSON file of lifecycle events."""
    if _suffix(path) not in (".ndjson", ".jsonl", ".json"):
        raise Failure(f"{path}: lifecycle events are read from NDJSON (.ndjson, .jsonl, .json, .gz) only")
    events: list[LifecycleEvent] = []
    letters: list[DeadLetter] = []
    for raw in _lines(path):
        found, dead = decoder.decode_lifecycle(raw)
        events += found
        letters += dead
    return events, letters


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    if not suffixes or suffixes[-1] not in SUFFIXES:
        raise Failure(
            f"{path}: the suffix tells the format; expected one of {', '.join(SUFFIXES)}, or .gz of it"
        )
    return suffixes[-1]


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _lines(path: Path) -> Iterator[RawBatch]:
    number = 0
    with _open(path) as file:
        records = (stripped for line in file if (stripped := line.strip()))
        while chunk := list(islice(records, RECORDS_AT_ONCE)):
            yield RawBatch(
                topic=str(path),
                partition=0,
                offsets=np.arange(number + 1, number + len(chunk) + 1),
                record_times_ms=np.full(len(chunk), NO_TIME, np.int64),
                keys=[None] * len(chunk),
                values=chunk,
            )
            number += len(chunk)


def _records(path: Path, suffix: str) -> Iterator[dict[str, Any] | DeadLetter]:
    if suffix == ".avro":
        return _avro(path)
    if suffix == ".parquet":
        return _parquet(path)
    return csv_records(path, _open)


def _avro(path: Path) -> Iterator[dict[str, Any] | DeadLetter]:
    number = 0
    with _open(path) as file:
        try:
            blocks = fastavro.block_reader(file)
        except (ValueError, EOFError, KeyError) as error:
            raise Failure(f"{path}: no Avro container ({error})") from error
        while True:
            try:
                block = next(blocks, None)
                records = None if block is None else list(block)
            except Exception as error:
                # Whole blocks count; where the next one begins is unknown, so this is the end.
                yield DeadLetter(
                    topic=str(path),
                    partition=0,
                    offset=number + 1,
                    reason=f"malformed_avro: the container breaks off after record {number} ({error})",
                    field="",
                    value="",
                    received_at_ms=NO_TIME,
                )
                return
            if records is None:
                return
            number += len(records)
            yield from records  # type: ignore[misc]


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        source: Any = path if path.suffix != ".gz" else pa.BufferReader(_open(path).read())
        file = pq.ParquetFile(source)
        for batch in file.iter_batches(RECORDS_AT_ONCE):
            for record in _times_as_integers(batch).to_pylist(maps_as_pydicts="lossy"):
                yield nested(record)
    except (pa.ArrowInvalid, OSError) as error:
        raise Failure(f"{path}: no Parquet file ({error})") from error


def _times_as_integers(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Timestamps without zone are UTC, as everywhere in Parquet; as integers they are not ambiguous."""
    for i, field in enumerate(batch.schema):
        if pa.types.is_timestamp(field.type):
            if field.type.unit == "ms":
                values = batch.column(i).cast(pa.int64())
            else:
                values = batch.column(i).cast(pa.timestamp(field.type.unit, tz="UTC"))
            batch = batch.set_column(i, field.name, values)
    return batch
