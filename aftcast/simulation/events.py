"""An event on its way to Kafka, and the Avro single-object encoding of columns of them."""

import json
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import fastavro
import pyarrow as pa
import pyruhvro

INFERENCE, LABELS = "inference", "labels"
_SCHEMA_FILES = {INFERENCE: "inference_event.avsc", LABELS: "label_event.avsc"}


class Event(NamedTuple):
    """One record: its topic's kind, its record time, key and value."""

    kind: str
    time_ms: int
    key: bytes
    value: bytes


@cache
def schema_text(kind: str) -> str:
    return files("schemas").joinpath(_SCHEMA_FILES[kind]).read_text(encoding="utf-8")


@cache
def single_object_header(kind: str) -> bytes:
    """Return the ten bytes that name the schema: 0xC3 0x01 and its CRC-64-AVRO, little-endian."""
    canonical = fastavro.schema.to_parsing_canonical_form(json.loads(schema_text(kind)))
    return b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


def encode(kind: str, columns: pa.RecordBatch) -> list[bytes]:
    """Return each row as Avro single-object encoding; the columns are those of ``schemas.columns``."""
    header = single_object_header(kind)
    arrays = pyruhvro.serialize_record_batch(columns, schema_text(kind), 1)
    return [header + value for array in arrays for value in array.to_pylist()]
