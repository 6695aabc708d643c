"""Whole batches where every value allows it, record by record where not, so that only bad ones fall out."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from schemas.contracts import CONTRACTS, LIFECYCLE, Contract
from schemas.findings import LifecycleEvent
from schemas.privacy import NO_RULES, PrivacySettings
from schemas.records import DeadLetter, DecodedBatch, IntArray, RawBatch
from streams.decode.assemble import assemble, with_coordinates
from streams.decode.documents import columns_of
from streams.decode.events import EVENTS, INFERENCE_EVENT, LABEL_EVENT, ColumnarEvent
from streams.decode.framing import CONFLUENT_MARK, TELLING_HEADERS, Framed, Frames
from streams.decode.json_text import parse_object
from streams.decode.privacy import Privacy
from streams.decode.reasons import RejectedError
from streams.decode.registry import Registry
from streams.decode.rules import RULES, check
from streams.decode.times import MAX_AHEAD_MS, latest_ms
from streams.decode.whole import (
    MixedFramesError,
    Reading,
    avro_reader,
    merge,
    read_whole,
    seem_to_start_with,
)

SHOWN = 200
LONGEST_REASON = 400  # a key of a map may be as long as the value
_NAMES = {name: frozenset(rule.name for rule in rules) for name, rules in RULES.items()}


class Decoder:
    """Turns raw batches into columns, or into lifecycle events, and sets bad records aside.

    Parameters
    ----------
    registry
        Where schema ids are looked up; None: records that carry one are set aside.
    max_ahead_ms
        How far an event's own time may lie after its record's Kafka time, in milliseconds.
    privacy
        What is taken out of events and dead letters before anybody sees them.

    Notes
    -----
    One decoder belongs to one worker: it remembers the writers' schemas that it has met.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        max_ahead_ms: int = MAX_AHEAD_MS,
        privacy: PrivacySettings = NO_RULES,
    ) -> None:
        self._max_ahead_ms = max_ahead_ms
        self.privacy = Privacy(privacy)
        self._frames = {name: Frames(CONTRACTS[name], registry) for name in RULES}

    def decode_inference(self, raw: RawBatch) -> DecodedBatch:
        """Return the columns of ``INFERENCE_COLUMNS``; raises ``RegistryUnavailable``, see there."""
        return self._decode(INFERENCE_EVENT, raw)

    def decode_labels(self, raw: RawBatch) -> DecodedBatch:
        """Return the columns of ``LABEL_COLUMNS``; raises ``RegistryUnavailable``, see there."""
        return self._decode(LABEL_EVENT, raw)

    def decode_lifecycle(self, raw: RawBatch) -> tuple[list[LifecycleEvent], tuple[DeadLetter, ...]]:
        """Return lifecycle events in offset order; raises ``RegistryUnavailable``, see there."""
        singles = self._singly(LIFECYCLE, raw, range(len(raw)))
        events = []
        for record in singles.records:
            time_ms = record.pop("timestamp")
            events.append(LifecycleEvent(timestamp_ms=time_ms, **self.privacy.lifecycle(record)))
        return events, tuple(map(self.privacy.letter, singles.dead_letters))

    def decode_records(
        self,
        kind: Literal["inference", "label"],
        records: Sequence[Mapping[str, Any]],
        offsets: IntArray,
        record_times_ms: IntArray,
        topic: str,
        partition: int = 0,
    ) -> DecodedBatch:
        """Return the columns of records that are parsed already, under the very same rules.

        Parameters
        ----------
        records
            Field names to values: ``timestamp`` is integer milliseconds, an RFC 3339 text or an aware
            ``datetime``, maps are dicts, NaN is not null.
        offsets, record_times_ms
            One per record; the time is -1 where there is none.
        topic, partition
            Where the records came from, such as a file's path, for dead letters.
        """
        event = EVENTS[kind]
        raw = RawBatch(
            topic, partition, offsets, record_times_ms, [None] * len(records), [b""] * len(records)
        )
        reading = self._documents(event, raw, records, np.arange(len(records)))
        singles = _Singles(event.contract, raw, self._max_ahead_ms)
        for at in sorted(reading.suspects):
            singles.take(at, lambda at=at: records[at])
        return self._columns(event, raw, reading, singles)

    def _decode(self, event: ColumnarEvent, raw: RawBatch) -> DecodedBatch:
        reading = self._uniform(event, raw)
        if reading is None:
            reading = self._mixed(event, raw)
        singles = self._singly(event.contract, raw, sorted(reading.suspects))
        return self._columns(event, raw, reading, singles)

    def _uniform(self, event: ColumnarEvent, raw: RawBatch) -> Reading | None:
        """Read a batch of which every value carries the same frame of our own schema; None: it is not one."""
        values = raw.values
        if not len(values) or not values[0] or _has_telling_headers(raw):
            return None
        written = event
        for older in event.older:
            if values[0].startswith(older.contract.single_object_prefix):
                written = older
        prefix, schema = written.contract.single_object_prefix, written.single_object_schema
        if values[0].startswith(CONFLUENT_MARK):
            prefix, schema = values[0][:5], event.confluent_schema
            if not self._is_own(event.name, values[0]):
                return None
        if not seem_to_start_with(values, prefix):
            return None
        read = avro_reader(event, written, schema, values, prefix)
        try:
            return read_whole(read, np.arange(len(raw)), raw.record_times_ms, self._max_ahead_ms)
        except MixedFramesError:
            return None

    def _is_own(self, name: str, value: bytes) -> bool:
        frames = self._frames[name]
        frames.start_batch()
        try:
            writer = frames.take_apart(value, ()).writer
        except RejectedError:
            return False
        return writer is not None and writer.own

    def _mixed(self, event: ColumnarEvent, raw: RawBatch) -> Reading:
        """Read together what is our own Avro under whatever frame, and what is JSON; leave the rest."""
        frames = self._frames[event.name]
        frames.start_batch()
        versions = (event, *event.older)
        payloads: list[list[bytes]] = [[] for _ in versions]
        payload_positions: list[list[int]] = [[] for _ in versions]
        documents: list[Mapping[str, Any]] = []
        document_positions: list[int] = []
        rest: list[int] = []
        headers = raw.headers or [()] * len(raw)
        for at, (value, its_headers) in enumerate(zip(raw.values, headers, strict=True)):
            try:
                framed = frames.take_apart(value, its_headers)
                if framed.writer is None:
                    documents.append(_document(framed))
                    document_positions.append(at)
                elif (version := framed.writer.version) is not None:
                    payloads[version].append(framed.payload)
                    payload_positions[version].append(at)
                else:
                    rest.append(at)
            except RejectedError:
                rest.append(at)
        reading = self._documents(event, raw, documents, np.array(document_positions, np.int64))
        for written, positions, values in zip(versions, payload_positions, payloads, strict=True):
            here = np.array(positions, np.int64)
            read = avro_reader(event, written, written.bare_schema, values)
            reading.add(read_whole(read, here, raw.record_times_ms[here], self._max_ahead_ms))
        reading.suspects += rest
        return reading

    def _documents(
        self, event: ColumnarEvent, raw: RawBatch, documents: Sequence[Mapping[str, Any]], here: IntArray
    ) -> Reading:
        def read(start: int, end: int) -> pa.RecordBatch:
            return columns_of(event, documents[start:end])

        reading = read_whole(read, here, raw.record_times_ms[here], self._max_ahead_ms)
        if extra := set().union(*documents) - _NAMES[event.name]:
            at_once = np.concatenate([np.zeros(0, np.int64), *(positions for positions, _ in reading.parts)])
            for index in np.searchsorted(here, at_once).tolist():
                reading.unknown_fields.update(extra & documents[index].keys())
        return reading

    def _singly(self, contract: Contract, raw: RawBatch, positions: Iterable[int]) -> "_Singles":
        frames = self._frames[contract.name]
        frames.start_batch()
        singles = _Singles(contract, raw, self._max_ahead_ms)
        for at in positions:

            def read(at: int = at) -> Mapping[str, Any]:
                framed = frames.take_apart(raw.values[at], raw.headers[at] if raw.headers else ())
                if framed.writer is not None:
                    singles.extra = framed.writer.extra
                    return framed.writer.read(framed.payload)
                return _document(framed)

            singles.take(at, read)
        return singles

    def _columns(
        self, event: ColumnarEvent, raw: RawBatch, reading: Reading, singles: "_Singles"
    ) -> DecodedBatch:
        here = np.array(singles.positions, np.int64)
        if singles.records:
            columns = assemble(event.fields, singles.records)
            reading.parts.append((here, columns))
        positions, columns = merge(event, reading.parts)
        offsets, times = raw.offsets, raw.record_times_ms
        if len(positions) < len(raw):
            offsets, times = offsets[positions], times[positions]
        batch = with_coordinates(self.privacy.columns(columns), offsets, times)
        unknown = reading.unknown_fields + singles.unknown_fields
        letters = tuple(map(self.privacy.letter, singles.dead_letters))
        return DecodedBatch(batch, letters, dict(sorted(unknown.items())))


class _Singles:
    """Records read one by one: those accepted, those set aside, and the fields that were ignored."""

    def __init__(self, contract: Contract, raw: RawBatch, max_ahead_ms: int) -> None:
        self.positions: list[int] = []
        self.records: list[dict[str, Any]] = []
        self.dead_letters: list[DeadLetter] = []
        self.unknown_fields: Counter[str] = Counter()
        self.extra: Sequence[str] = ()
        self._name = contract.name
        self._raw = raw
        self._max_ahead_ms = max_ahead_ms

    def take(self, at: int, read: Any) -> None:
        raw = self._raw
        record: Mapping[str, Any] | None = None
        self.extra = ()
        try:
            record = read()
            limit = latest_ms(int(raw.record_times_ms[at]), self._max_ahead_ms)
            clean = check(self._name, record, limit)
        except RejectedError as error:
            self.dead_letters.append(
                DeadLetter(
                    topic=raw.topic,
                    partition=raw.partition,
                    offset=int(raw.offsets[at]),
                    reason=_shortened(str(error), LONGEST_REASON),
                    field=error.field,
                    value=_shown(raw.values[at], record),
                    received_at_ms=int(raw.record_times_ms[at]),
                    key=raw.keys[at],
                )
            )
            return
        self.positions.append(at)
        self.records.append(clean)
        self.unknown_fields.update(self.extra or record.keys() - _NAMES[self._name])


def _document(framed: Framed) -> Mapping[str, Any]:
    if framed.document is None:
        return parse_object(framed.payload)
    if type(framed.document) is not dict:
        raise RejectedError("not_an_object", "data", "expected data to be a JSON object")
    document: dict[str, Any] = framed.document
    return document


def _has_telling_headers(raw: RawBatch) -> bool:
    return any(name.lower() in TELLING_HEADERS for headers in raw.headers for name, _ in headers)


def _shown(value: bytes | None, record: Mapping[str, Any] | None) -> str:
    """Return the value for people: text as it came, Avro as JSON where it could be read, else hex."""
    if (value and value[:1] in b'{["') or not record:
        text = _text(value)
    else:
        text = json.dumps(record, default=str, ensure_ascii=False)
    return _shortened(text, SHOWN)


def _shortened(text: str, most: int) -> str:
    # Halves of surrogate pairs could be written nowhere further down.
    text = text[: most + 1].encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(value: bytes | None) -> str:
    if not value:
        return ""
    start = value[: 4 * SHOWN]
    if value[:1] in b"\x00\xc3":
        return "0x" + start.hex()
    return start.decode("utf-8", "backslashreplace")
