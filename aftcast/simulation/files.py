"""Simulated events as files that ``aftcast replay`` takes: NDJSON, or Avro containers."""

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fastavro
import orjson

from aftcast.simulation.events import INFERENCE, LABELS, Event, schema_text, single_object_header


def write_ndjson(directory: Path, blocks: Iterable[list[Event]]) -> dict[str, int]:
    """Write ``inference.ndjson`` and ``labels.ndjson``; faults stay faults. Returns lines by file name."""
    directory.mkdir(parents=True, exist_ok=True)
    counts = {f"{kind}.ndjson": 0 for kind in (INFERENCE, LABELS)}
    with ExitStack() as stack:
        outputs = {
            kind: stack.enter_context((directory / f"{kind}.ndjson").open("wb"))
            for kind in (INFERENCE, LABELS)
        }
        for block in blocks:
            for event in block:
                outputs[event.kind].write(_line(event) + b"\n")
                counts[f"{event.kind}.ndjson"] += 1
    return counts


def write_avro(directory: Path, blocks: Iterable[list[Event]]) -> dict[str, int]:
    """Write ``inference.avro`` and ``labels.avro``; a container holds no faults. Returns records by name."""
    directory.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    held: dict[str, list[dict[str, Any]]] = {INFERENCE: [], LABELS: []}
    for block in blocks:
        for event in block:
            if (document := document_of(event)) is not None:
                held[event.kind].append(document)
    for kind, documents in held.items():
        name = f"{kind}.avro"
        with (directory / name).open("wb") as output:
            fastavro.writer(
                output, _READERS[kind], documents, codec="deflate", sync_marker=b"aftcast-blockend"
            )
        counts[name] = len(documents)
    return counts


def document_of(event: Event) -> dict[str, Any] | None:
    """Return an event's fields, times as integer milliseconds; None where it is a fault."""
    header = single_object_header(event.kind)
    if not event.value.startswith(header):
        return None
    try:
        document = fastavro.schemaless_reader(io.BytesIO(event.value[len(header) :]), _READERS[event.kind])
    except (EOFError, IndexError, ValueError, UnicodeDecodeError):
        return None
    return dict(document) if isinstance(document, dict) else None


def _line(event: Event) -> bytes:
    document = document_of(event)
    if document is not None:
        return orjson.dumps(document)
    if event.value[:1] == b"\xc3":
        # What was cut short as Avro is cut short as JSON.
        return b'{"prediction_id": "' + event.key
    return event.value


def _plain(schema: Any) -> Any:
    """Return the schema without logical types, so that times are read as the integers they are."""
    if isinstance(schema, dict):
        return {name: _plain(part) for name, part in schema.items() if name != "logicalType"}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema


def _readers() -> Iterator[tuple[str, Any]]:
    for kind in (INFERENCE, LABELS):
        yield kind, fastavro.parse_schema(_plain(json.loads(schema_text(kind))))


_READERS = dict(_readers())
