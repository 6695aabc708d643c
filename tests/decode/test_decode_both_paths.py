"""Whole batches and single records must agree: on values, on what is refused, on the reason."""

import io
import json
import struct
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import INFERENCE_COLUMNS, LABEL_COLUMNS
from schemas.contracts import INFERENCE, LABEL, Contract, encode_single_object
from schemas.records import DecodedBatch, RawBatch
from streams.decode import Decoder
from streams.decode.events import INFERENCE_EVENT, LABEL_EVENT
from streams.decode.whole import Reading

NOW_MS = 1_763_700_000_000


def raw(values: list[bytes | None], time_ms: int = NOW_MS) -> RawBatch:
    n = len(values)
    return RawBatch("inference-events", 3, np.arange(100, 100 + n), np.full(n, time_ms), [None] * n, values)


def rows(batch: DecodedBatch) -> list[dict[str, Any]]:
    batch.columns.validate(full=True)
    return [
        {name: dict(v) if isinstance(v, list) else v for name, v in row.items()}
        for row in batch.columns.to_pylist()
    ]


def typed(value: Any) -> Any:
    """Make 1, 1.0 and True differ, and -0.0 and 0.0."""
    if isinstance(value, dict):
        return {k: typed(v) for k, v in value.items()}
    return (type(value).__name__, repr(value))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
names = texts.filter(bool)
longs = st.integers(-(2**63), 2**63 - 1)
doubles = st.floats()
any_scalar = st.one_of(st.none(), st.booleans(), longs, doubles, texts)
times_ms = st.one_of(
    st.integers(NOW_MS - 10_000, NOW_MS + 400_000),
    st.sampled_from([0, 946_684_799_999, 946_684_800_000, NOW_MS + 300_000, NOW_MS + 300_001, 2**63 - 1]),
)
small = st.one_of(st.floats(-0.1, 1.1), st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), 5e-324]))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


inference_records = st.fixed_dictionaries(
    {
        "prediction_id": texts,
        "model": st.one_of(st.just("m"), texts),
        "timestamp": times_ms,
        "prediction": any_scalar,
    },
    optional={
        "model_version": texts,
        "scores": maybe(st.dictionaries(texts, small, max_size=3)),
        "features": st.dictionaries(texts, any_scalar, max_size=4),
        "segments": st.dictionaries(texts, texts, max_size=3),
        "status": st.sampled_from(["ok", "ok", "timeout", ""]),
        "latency_ms": maybe(doubles),
        "cost": maybe(small),
        "request_id": maybe(texts),
        "role": st.sampled_from(["primary", "shadow", "mine"]),
        "artifact_hash": maybe(texts),
        "trace_id": maybe(texts),
        "prediction_lower": maybe(doubles),
        "prediction_upper": maybe(doubles),
    },
)
label_records = st.fixed_dictionaries(
    {"prediction_id": texts, "label": any_scalar, "timestamp": times_ms},
    optional={
        "model": texts,
        "source": texts,
        "sampling_probability": maybe(small),
        "value": maybe(doubles),
    },
)


def decode(name: str, values: list[bytes | None]) -> DecodedBatch:
    decoder = Decoder()
    if name == "InferenceEvent":
        return decoder.decode_inference(raw(values))
    return decoder.decode_labels(raw(values))


def decode_singly(name: str, values: list[bytes | None]) -> DecodedBatch:
    """Decode as if every value had been suspect: by fastavro and the rules alone."""
    event = INFERENCE_EVENT if name == "InferenceEvent" else LABEL_EVENT
    decoder, batch = Decoder(), raw(values)
    singles = decoder._singly(event.contract, batch, range(len(values)))
    return decoder._columns(event, batch, Reading(), singles)


def agree(name: str, values: list[bytes | None]) -> DecodedBatch:
    """Decode together, mixed, and one by one; fail where the outcomes differ; return the first."""
    together, singly = decode(name, values), decode_singly(name, values)
    mixed = decode(name, [*values, None])
    for other in (singly, mixed):
        assert [typed(row) for row in rows(together)] == [typed(row) for row in rows(other)]
        assert together.dead_letters == other.dead_letters[: len(together.dead_letters)]
        assert together.unknown_fields == other.unknown_fields
    assert together.columns.num_rows + len(together.dead_letters) == len(values)
    return together


def reference(contract: Contract, value: bytes) -> dict[str, Any]:
    record = fastavro.schemaless_reader(io.BytesIO(value[10:]), contract.plain, None)
    assert isinstance(record, dict)
    return record


@settings(max_examples=80, deadline=None)
@given(st.lists(inference_records, min_size=1, max_size=5))
def test_whole_and_single_reading_of_inference_events_agree_and_equal_fastavro(records: list[Any]) -> None:
    values: list[bytes | None] = [encode_single_object("InferenceEvent", record) for record in records]
    batch = agree("InferenceEvent", values)
    assert batch.columns.schema.equals(INFERENCE_COLUMNS)
    plain = batch.columns.set_column(
        3, pa.field("timestamp", pa.int64(), nullable=False), batch.columns.column(3).view(pa.int64())
    )
    for row in plain.to_pylist():
        value = values[row.pop("offset") - 100]
        assert value is not None
        row.pop("record_time_ms")
        maps = {k: dict(v) for k, v in row.items() if isinstance(v, list)}
        assert typed(row | maps) == typed(reference(INFERENCE, value))


@settings(max_examples=60, deadline=None)
@given(st.lists(label_records, min_size=1, max_size=5))
def test_whole_and_single_reading_of_labels_agree(records: list[Any]) -> None:
    batch = agree("LabelEvent", [encode_single_object("LabelEvent", record) for record in records])
    assert batch.columns.schema.equals(LABEL_COLUMNS)


@settings(max_examples=60, deadline=None)
@given(st.lists(inference_records, min_size=1, max_size=4))
def test_json_and_avro_of_the_same_event_give_the_same_row_or_the_same_reason(records: list[Any]) -> None:
    avro = decode("InferenceEvent", [encode_single_object("InferenceEvent", r) for r in records])
    text = agree("InferenceEvent", [json.dumps(r).encode() for r in records])
    assert [typed(row) for row in rows(avro)] == [typed(row) for row in rows(text)]
    assert [(d.offset, d.reason, d.field) for d in avro.dead_letters] == [
        (d.offset, d.reason, d.field) for d in text.dead_letters
    ]


json_values = st.recursive(
    st.one_of(any_scalar, st.integers(), st.just("2025-11-21T04:40:00Z"), times_ms),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=4,
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(inference_records, st.sampled_from(INFERENCE.fields), json_values), max_size=4))
def test_json_with_any_value_in_any_field_is_judged_alike_together_and_alone(changes: list[Any]) -> None:
    values: list[bytes | None] = [
        json.dumps(record | {field.name: value, "extra": 1}).encode() for record, field, value in changes
    ]
    batch = agree("InferenceEvent", values)
    assert sum(batch.unknown_fields.values()) == batch.columns.num_rows


GOOD = {
    "prediction_id": "p1",
    "model": "fraud",
    "timestamp": NOW_MS,
    "prediction": "naïve",
    "scores": {"a": 0.5},
    "features": {"x": 1, "y": 2.5, "z": "é", "w": None, "v": True},
    "segments": {"country": "de"},
    "latency_ms": 1.5,
}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_corrupted_bytes_end_in_one_place_whatever_was_broken(data: st.DataObject) -> None:
    good = encode_single_object("InferenceEvent", GOOD)
    body = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(10, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        if len(body) <= 11:
            body += b"\x00"
    agree("InferenceEvent", [good, bytes(body), good])


def varint(n: int) -> bytes:
    n = ((n << 1) ^ (n >> 63)) & (2**64 - 1)
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def text(value: bytes) -> bytes:
    return varint(len(value)) + value


def by_hand(**parts: bytes) -> bytes:
    usual = {
        "prediction_id": text(b"p"), "model": text(b"m"), "model_version": text(b""),
        "timestamp": varint(NOW_MS), "prediction": varint(3) + struct.pack("<d", 0.5),
        "scores": varint(0), "features": varint(0), "segments": varint(0), "status": text(b"ok"),
        "latency_ms": varint(0), "cost": varint(0), "request_id": varint(0), "role": text(b"primary"),
        "artifact_hash": varint(0), "trace_id": varint(0),
        "prediction_lower": varint(0), "prediction_upper": varint(0),
    }  # fmt: skip
    return INFERENCE.single_object_prefix + b"".join((usual | parts).values())


ENTRY_A, ENTRY_A2 = text(b"a") + varint(2) + varint(1), text(b"a") + varint(2) + varint(5)
ENTRY_B = text(b"b") + varint(2) + varint(7)
ODD = {
    "trailing bytes": (by_hand() + b"xyz", {}),
    "repeated key": (by_hand(features=varint(2) + ENTRY_A + ENTRY_A2 + varint(0)), {"features": {"a": 5}}),
    "repeated key in two blocks": (
        by_hand(features=varint(1) + ENTRY_A + varint(1) + ENTRY_A2 + varint(0)), {"features": {"a": 5}}
    ),
    "repeated segment": (
        by_hand(segments=varint(2) + text(b"s") + text(b"1") + text(b"s") + text(b"2") + varint(0)),
        {"segments": {"s": "2"}},
    ),
    "repeated class": (
        by_hand(scores=varint(1) + varint(2) + 2 * (text(b"c") + struct.pack("<d", 0.25)) + varint(0)),
        {"scores": {"c": 0.25}},
    ),
    "block with its size": (
        by_hand(features=varint(-2) + varint(8) + ENTRY_A + ENTRY_B + varint(0)),
        {"features": {"a": 1, "b": 7}},
    ),
    "block with a wrong size": (
        by_hand(features=varint(-1) + varint(-99) + ENTRY_A + varint(0)), {"features": {"a": 1}}
    ),
    "padded varint": (by_hand(prediction=varint(2) + b"\x82\x80\x00"), {"prediction": 1}),
    "union branch from behind": (by_hand(latency_ms=b"\x01" + struct.pack("<d", 1.0)), {"latency_ms": 1.0}),
    "boolean of 2": (by_hand(prediction=varint(1) + b"\x02"), {"prediction": True}),
    "NUL in a text": (by_hand(prediction_id=text(b"a\0b")), {"prediction_id": "a\0b"}),
    "largest long": (by_hand(prediction=varint(2) + varint(2**63 - 1)), {"prediction": 2**63 - 1}),
}  # fmt: skip
BROKEN = {
    "invalid UTF-8": (by_hand(prediction_id=text(b"\xff")), "broken_utf8", "prediction_id"),
    "surrogate in UTF-8": (by_hand(model=text(b"\xed\xa0\x80")), "broken_utf8", "model"),
    "invalid UTF-8 in a key": (
        by_hand(features=varint(1) + text(b"\xff") + varint(0) + varint(0)), "broken_utf8", "features"
    ),
    "character cut between two keys": (
        by_hand(segments=varint(2) + 2 * (text(b"\xc3") + text(b"\xa9")) + varint(0)),
        "broken_utf8",
        "segments",
    ),
    "union branch 5": (by_hand(prediction=varint(5)), "malformed_avro", "prediction"),
    "branch 2 of 2": (by_hand(latency_ms=varint(2)), "malformed_avro", "latency_ms"),
    "huge length": (by_hand(model=varint(2**40) + b"x"), "malformed_avro", "model"),
    "negative length": (by_hand(model=varint(-1) + b"x"), "malformed_avro", "model"),
    "huge block": (by_hand(features=varint(2**62)), "malformed_avro", "features"),
    "truncated": (by_hand()[:-5], "malformed_avro", "role"),
    "only the frame": (INFERENCE.single_object_prefix, "malformed_avro", "prediction_id"),
    "time beyond any calendar": (by_hand(timestamp=varint(2**63 - 1)), "timestamp_in_future", "timestamp"),
    "most negative time": (by_hand(timestamp=varint(-(2**63))), "timestamp_before_2000", "timestamp"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), ODD.values(), ids=ODD)
def test_odd_but_readable_avro_is_read_as_fastavro_reads_it(value: bytes, expected: dict[str, Any]) -> None:
    batch = agree("InferenceEvent", [by_hand(), value, by_hand()])
    assert not batch.dead_letters
    row = rows(batch)[1]
    assert {name: typed(row[name]) for name in expected} == {k: typed(v) for k, v in expected.items()}


@pytest.mark.parametrize(("value", "code", "field"), BROKEN.values(), ids=BROKEN)
def test_broken_avro_is_set_aside_with_its_field_and_its_neighbours_count(
    value: bytes, code: str, field: str
) -> None:
    batch = agree("InferenceEvent", [by_hand(), value, by_hand()])
    assert [row["offset"] for row in rows(batch)] == [100, 102]
    (letter,) = batch.dead_letters
    assert (letter.reason.split(":")[0], letter.field, letter.offset) == (code, field, 101)


def test_a_padded_frame_is_no_frame_on_either_path() -> None:
    padded = b"\xc3\x81\x00" + by_hand()[2:]
    batch = agree("InferenceEvent", [by_hand(), padded])
    assert [letter.offset for letter in batch.dead_letters] == [101]


def test_one_bad_value_among_many_sets_only_itself_aside() -> None:
    values: list[bytes | None] = [by_hand(prediction_id=text(b"p%d" % i)) for i in range(1_000)]
    values[617] = by_hand()[:-1]
    values[800] = by_hand(model=text(b"\xff"))
    batch = decode("InferenceEvent", values)
    assert [letter.offset for letter in batch.dead_letters] == [717, 900]
    assert batch.columns.column("offset").to_pylist() == [i for i in range(100, 1_100) if i not in {717, 900}]
    assert batch.columns.column("prediction_id").to_pylist() == [
        f"p{i}" for i in range(1_000) if i not in {617, 800}
    ]


def test_error_texts_are_the_same_from_run_to_run() -> None:
    values: list[bytes | None] = [value for value, _, _ in BROKEN.values()]
    first, second = decode("InferenceEvent", values), decode("InferenceEvent", values)
    assert first.dead_letters == second.dead_letters
    assert not [letter.reason for letter in first.dead_letters if " object at " in letter.reason]


def test_an_empty_batch_has_the_columns_and_no_rows() -> None:
    for name, columns in (("InferenceEvent", INFERENCE_COLUMNS), ("LabelEvent", LABEL_COLUMNS)):
        batch = decode(name, [])
        assert batch.columns.schema.equals(columns)
        assert batch.columns.num_rows == 0


def test_label_contract_is_another_schema_than_inference() -> None:
    assert LABEL.fingerprint != INFERENCE.fingerprint
