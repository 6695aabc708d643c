"""Each rule of the contract, in JSON and in Avro, at its bound and one past it."""

import json
from typing import Any

import numpy as np
import pytest

from schemas.contracts import encode_single_object
from schemas.records import DecodedBatch, RawBatch
from streams.decode import REASONS, Decoder

NOW_MS = 1_763_700_000_000
INFERENCE = {"prediction_id": "p1", "model": "fraud", "timestamp": NOW_MS, "prediction": "yes"}
LABEL = {"prediction_id": "p1", "label": "yes", "timestamp": NOW_MS}
NAN, INF = float("nan"), float("inf")


def raw(*values: bytes | None, time_ms: int = NOW_MS) -> RawBatch:
    n = len(values)
    return RawBatch("in", 2, np.arange(7, 7 + n), np.full(n, time_ms), [b"key"] * n, values)


def decode(kind: str, value: bytes | None, time_ms: int = NOW_MS) -> DecodedBatch:
    decoder, batch = Decoder(), raw(value, time_ms=time_ms)
    return decoder.decode_inference(batch) if kind == "InferenceEvent" else decoder.decode_labels(batch)


def outcome(batch: DecodedBatch) -> tuple[str, str]:
    """Return code and field of the one dead letter, ("", "") when the record was accepted."""
    assert batch.columns.num_rows + len(batch.dead_letters) == 1
    if not batch.dead_letters:
        return "", ""
    (letter,) = batch.dead_letters
    code, _, detail = letter.reason.partition(": ")
    assert code in REASONS
    assert detail
    assert (letter.topic, letter.partition, letter.offset, letter.key) == ("in", 2, 7, b"key")
    return code, letter.field


def accepted_row(batch: DecodedBatch) -> dict[str, Any]:
    assert batch.dead_letters == ()
    (row,) = batch.columns.to_pylist()
    assert isinstance(row, dict)
    return row


EDGES: list[tuple[str, dict[str, Any], tuple[str, str]]] = [
    ("I", {"prediction_id": ""}, ("empty_field", "prediction_id")),
    ("I", {"model": ""}, ("empty_field", "model")),
    ("I", {"prediction": None}, ("prediction_missing", "prediction")),
    ("I", {"prediction": None, "status": "timeout"}, ("", "")),
    ("I", {"prediction": 1.5, "status": "timeout"}, ("", "")),
    ("I", {"prediction": None, "status": ""}, ("", "")),
    ("I", {"prediction": NAN}, ("not_finite", "prediction")),
    ("I", {"prediction": -INF}, ("not_finite", "prediction")),
    ("I", {"features": {"a": 1, "b": INF}}, ("not_finite", "features")),
    ("I", {"latency_ms": -0.001}, ("negative", "latency_ms")),
    ("I", {"latency_ms": 0.0}, ("", "")),
    ("I", {"latency_ms": NAN}, ("not_finite", "latency_ms")),
    ("I", {"cost": -1.0}, ("negative", "cost")),
    ("I", {"cost": INF}, ("not_finite", "cost")),
    ("I", {"scores": {"a": 1.0000001}}, ("score_out_of_range", "scores")),
    ("I", {"scores": {"a": -0.1}}, ("score_out_of_range", "scores")),
    ("I", {"scores": {"a": NAN}}, ("not_finite", "scores")),
    ("I", {"scores": {"a": 1.0, "b": 0.0}}, ("", "")),
    ("I", {"scores": {}}, ("", "")),
    ("I", {"prediction": 2.5, "prediction_lower": 2.0, "prediction_upper": 3.0}, ("", "")),
    ("I", {"prediction": 2, "prediction_lower": 3.0, "prediction_upper": 3.0}, ("", "")),
    (
        "I",
        {"prediction": 2.5, "prediction_lower": 3.0000001, "prediction_upper": 3.0},
        ("bounds_reversed", "prediction_lower"),
    ),
    ("I", {"prediction": 2.5, "prediction_lower": 2.0}, ("bounds_incomplete", "prediction_upper")),
    ("I", {"prediction": 2.5, "prediction_upper": 2.0}, ("bounds_incomplete", "prediction_lower")),
    (
        "I",
        {"prediction": 2.5, "prediction_lower": NAN, "prediction_upper": 3.0},
        ("not_finite", "prediction_lower"),
    ),
    (
        "I",
        {"prediction": 2.5, "prediction_lower": 1.0, "prediction_upper": INF},
        ("not_finite", "prediction_upper"),
    ),
    ("I", {"prediction_lower": 1.0, "prediction_upper": 2.0}, ("bounds_without_number", "prediction_lower")),
    (
        "I",
        {"prediction": True, "prediction_lower": 0.0, "prediction_upper": 2.0},
        ("bounds_without_number", "prediction_lower"),
    ),
    (
        "I",
        {"prediction": None, "status": "timeout", "prediction_lower": 0.0, "prediction_upper": 2.0},
        ("bounds_without_number", "prediction_lower"),
    ),
    ("I", {"role": "whatever"}, ("", "")),
    ("I", {"features": {f"f{i}": i for i in range(2_000)}}, ("", "")),
    ("I", {"features": {f"f{i}": i for i in range(2_001)}}, ("too_many_features", "features")),
    ("I", {"timestamp": 946_684_799_999}, ("timestamp_before_2000", "timestamp")),
    ("I", {"timestamp": NOW_MS // 1000}, ("timestamp_before_2000", "timestamp")),
    ("I", {"timestamp": 946_684_800_000}, ("", "")),
    ("I", {"timestamp": NOW_MS + 300_000}, ("", "")),
    ("I", {"timestamp": NOW_MS + 300_001}, ("timestamp_in_future", "timestamp")),
    ("L", {"prediction_id": ""}, ("empty_field", "prediction_id")),
    ("L", {"model": ""}, ("", "")),
    ("L", {"label": None}, ("", "")),
    ("L", {"label": NAN}, ("not_finite", "label")),
    ("L", {"value": -INF}, ("not_finite", "value")),
    ("L", {"value": -12.5}, ("", "")),
    ("L", {"sampling_probability": 0.0}, ("sampling_probability_out_of_range", "sampling_probability")),
    ("L", {"sampling_probability": 5e-324}, ("", "")),
    ("L", {"sampling_probability": 1.0}, ("", "")),
    ("L", {"sampling_probability": 1.01}, ("sampling_probability_out_of_range", "sampling_probability")),
    ("L", {"sampling_probability": NAN}, ("not_finite", "sampling_probability")),
    ("L", {"timestamp": 946_684_799_999}, ("timestamp_before_2000", "timestamp")),
    ("L", {"timestamp": NOW_MS + 300_001}, ("timestamp_in_future", "timestamp")),
]


@pytest.mark.parametrize(("kind", "change", "expected"), EDGES, ids=lambda v: str(v)[:40])
def test_rule_holds_in_json_and_avro_at_its_bound(
    kind: str, change: dict[str, Any], expected: tuple[str, str]
) -> None:
    name, base = ("InferenceEvent", INFERENCE) if kind == "I" else ("LabelEvent", LABEL)
    record = base | change
    assert outcome(decode(name, json.dumps(record).encode())) == expected
    assert outcome(decode(name, encode_single_object(name, record))) == expected


JSON_ONLY: list[tuple[str, dict[str, Any], tuple[str, str]]] = [
    ("I", {"prediction_id": 17}, ("wrong_type", "prediction_id")),
    ("I", {"prediction_id": None}, ("wrong_type", "prediction_id")),
    ("I", {"model": ["m"]}, ("wrong_type", "model")),
    ("I", {"prediction": {"class": "a"}}, ("wrong_type", "prediction")),
    ("I", {"prediction": [1]}, ("wrong_type", "prediction")),
    ("I", {"prediction": 2**63}, ("integer_out_of_range", "prediction")),
    ("I", {"prediction": -(2**63)}, ("", "")),
    ("I", {"prediction": 10**30}, ("integer_out_of_range", "prediction")),
    ("I", {"features": {"a": 2**64}}, ("integer_out_of_range", "features")),
    ("I", {"features": {"a": [1, 2]}}, ("wrong_type", "features")),
    ("I", {"features": [1]}, ("wrong_type", "features")),
    ("I", {"features": "none"}, ("wrong_type", "features")),
    ("I", {"scores": {"a": "0.5"}}, ("wrong_type", "scores")),
    ("I", {"scores": {"a": None}}, ("wrong_type", "scores")),
    ("I", {"scores": {"a": True}}, ("wrong_type", "scores")),
    ("I", {"scores": {"a": 1}}, ("", "")),
    ("I", {"segments": {"country": 49}}, ("wrong_type", "segments")),
    ("I", {"segments": {"country": None}}, ("wrong_type", "segments")),
    ("I", {"latency_ms": "12"}, ("wrong_type", "latency_ms")),
    ("I", {"latency_ms": False}, ("wrong_type", "latency_ms")),
    ("I", {"latency_ms": -3}, ("negative", "latency_ms")),
    ("I", {"latency_ms": 10**400}, ("integer_out_of_range", "latency_ms")),
    ("I", {"status": 200}, ("wrong_type", "status")),
    ("I", {"timestamp": str(NOW_MS)}, ("timestamp_as_text", "timestamp")),
    ("I", {"timestamp": "1763700000.5"}, ("timestamp_as_text", "timestamp")),
    ("I", {"timestamp": NOW_MS + 0.5}, ("timestamp_fractional", "timestamp")),
    ("I", {"timestamp": float(NOW_MS)}, ("wrong_type", "timestamp")),
    ("I", {"timestamp": True}, ("wrong_type", "timestamp")),
    ("I", {"timestamp": None}, ("wrong_type", "timestamp")),
    ("I", {"timestamp": 2**63}, ("integer_out_of_range", "timestamp")),
    ("I", {"timestamp": "2025-11-21T04:40:00"}, ("timestamp_without_zone", "timestamp")),
    ("I", {"timestamp": "2025-11-21"}, ("timestamp_unreadable", "timestamp")),
    ("I", {"timestamp": "yesterday"}, ("timestamp_unreadable", "timestamp")),
    ("I", {"timestamp": ""}, ("timestamp_unreadable", "timestamp")),
    ("I", {"timestamp": "2025-02-30T00:00:00Z"}, ("timestamp_unreadable", "timestamp")),
    ("I", {"timestamp": "2025-11-21T04:40:00.1234Z"}, ("timestamp_fractional", "timestamp")),
    ("I", {"timestamp": "1999-12-31T23:59:59.999Z"}, ("timestamp_before_2000", "timestamp")),
    ("L", {"label": {"a": 1}}, ("wrong_type", "label")),
    ("L", {"sampling_probability": 0}, ("sampling_probability_out_of_range", "sampling_probability")),
    ("L", {"sampling_probability": 1}, ("", "")),
    ("L", {"value": "12"}, ("wrong_type", "value")),
]


@pytest.mark.parametrize(("kind", "change", "expected"), JSON_ONLY, ids=lambda v: str(v)[:40])
def test_rule_that_only_json_can_break(kind: str, change: dict[str, Any], expected: tuple[str, str]) -> None:
    name, base = ("InferenceEvent", INFERENCE) if kind == "I" else ("LabelEvent", LABEL)
    assert outcome(decode(name, json.dumps(base | change).encode())) == expected


@pytest.mark.parametrize("field", INFERENCE)
def test_missing_field_of_an_inference_event_is_named(field: str) -> None:
    record = {name: value for name, value in INFERENCE.items() if name != field}
    assert outcome(decode("InferenceEvent", json.dumps(record).encode())) == ("missing_field", field)


@pytest.mark.parametrize("field", LABEL)
def test_missing_field_of_a_label_is_named(field: str) -> None:
    record = {name: value for name, value in LABEL.items() if name != field}
    assert outcome(decode("LabelEvent", json.dumps(record).encode())) == ("missing_field", field)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "empty_value"),
        (b"", "empty_value"),
        (b"not json", "malformed_json"),
        (b'{"prediction_id": "p1"', "malformed_json"),
        (b'{"a": 1}{"a": 2}', "malformed_json"),
        (b"\xff\xfe", "broken_utf8"),
        (b'{"model": "\xff"}', "broken_utf8"),
        (b'{"model": "\\ud800"}', "malformed_json"),
        (b"[]", "not_an_object"),
        (b"3", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"nobody": NaN}', "missing_field"),
        (b"[" * 33 + b"]" * 33, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "too_large"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "too_deep"),
        (b'{"a":' * 1_000 + b"1" + b"}" * 1_000, "too_deep"),
        (b"\xc3\x01", "malformed_avro"),
        (b"\xc3\x01" + bytes(8), "unknown_fingerprint"),
        (encode_single_object("LabelEvent", LABEL), "wrong_event"),
        (b"\x00\x00\x00\x00\x07abc", "no_registry"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_value_that_is_no_event_ends_as_one_dead_letter(value: bytes | None, code: str) -> None:
    assert outcome(decode("InferenceEvent", value))[0] == code


def padded(size: int, *, avro: bool) -> bytes:
    record = INFERENCE | {"prediction_id": ""}

    def encode(text: str) -> bytes:
        filled = record | {"prediction_id": text}
        return encode_single_object("InferenceEvent", filled) if avro else json.dumps(filled).encode()

    text = "x" * (size - len(encode("x" * 500_000)) + 500_000)
    assert len(encode(text)) == size
    return encode(text)


@pytest.mark.parametrize("avro", [True, False])
def test_value_of_a_megabyte_is_read_and_of_one_byte_more_is_set_aside_shortened(*, avro: bool) -> None:
    assert outcome(decode("InferenceEvent", padded(1_000_000, avro=avro))) == ("", "")
    batch = decode("InferenceEvent", padded(1_000_001, avro=avro))
    assert outcome(batch) == ("too_large", "")
    assert len(batch.dead_letters[0].value) == 200


def test_nesting_of_32_is_read_where_nobody_looks() -> None:
    deep: Any = 1
    for _ in range(31):
        deep = [deep]
    batch = decode("InferenceEvent", json.dumps(INFERENCE | {"deep": deep}).encode())
    assert outcome(batch) == ("", "")
    assert outcome(decode("InferenceEvent", json.dumps(INFERENCE | {"deep": [deep]}).encode())) == (
        "too_deep",
        "",
    )


def test_many_brackets_in_a_text_are_no_nesting() -> None:
    assert outcome(decode("InferenceEvent", json.dumps(INFERENCE | {"trace_id": "[" * 99}).encode())) == (
        "",
        "",
    )


def test_null_for_a_field_with_a_default_is_the_default() -> None:
    nulls = dict.fromkeys(["model_version", "features", "segments", "status", "role", "scores", "cost"])
    row = accepted_row(decode("InferenceEvent", json.dumps(INFERENCE | nulls).encode()))
    assert (row["model_version"], row["status"], row["role"]) == ("", "ok", "primary")
    assert (row["features"], row["segments"], row["scores"], row["cost"]) == ([], [], None, None)


def test_unknown_fields_are_ignored_and_counted_once_per_name_and_record() -> None:
    values = [INFERENCE | {"extra": 1}, INFERENCE | {"extra": 2, "other": [3]}, {"extra": 1}]
    batch = Decoder().decode_inference(raw(*(json.dumps(value).encode() for value in values)))
    assert dict(batch.unknown_fields) == {"extra": 2, "other": 1}
    assert batch.columns.num_rows == 2


def test_json_keeps_longs_doubles_and_booleans_apart() -> None:
    features = {"l": 3, "d": 3.0, "b": True, "s": "3", "n": None, "e": 1e3}
    row = accepted_row(decode("InferenceEvent", json.dumps(INFERENCE | {"features": features}).encode()))
    assert [(k, type(v), v) for k, v in row["features"]] == [(k, type(v), v) for k, v in features.items()]


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("2025-11-21T04:40:00Z", NOW_MS),
        ("2025-11-21T04:40:00z", NOW_MS),
        ("2025-11-21 05:40:00.000+01:00", NOW_MS),
        ("2025-11-20T20:40:00.25-08:00", NOW_MS + 250),
        ("2025-11-21T04:40:00.123000Z", NOW_MS + 123),
        ("2000-01-01T00:00:00Z", 946_684_800_000),
    ],
)
def test_rfc_3339_times_are_read_to_the_millisecond(text: str, time_ms: int) -> None:
    batch = decode("LabelEvent", json.dumps(LABEL | {"timestamp": text}).encode())
    assert outcome(batch) == ("", "")
    assert batch.columns.column("timestamp").view("int64").to_pylist() == [time_ms]


@pytest.mark.parametrize(
    ("factor", "hint"), [(1_000, "microseconds"), (1_000_000, "nanoseconds"), (2, "last time believed")]
)
@pytest.mark.parametrize("record_time_ms", [NOW_MS, -1])
def test_finer_units_than_milliseconds_are_named(factor: int, hint: str, record_time_ms: int) -> None:
    if factor == 2 and record_time_ms < 0:
        record_time_ms = 0
    value = json.dumps(LABEL | {"timestamp": NOW_MS * factor}).encode()
    batch = decode("LabelEvent", value, time_ms=record_time_ms)
    assert outcome(batch) == ("timestamp_in_future", "timestamp")
    assert batch.dead_letters[0].reason.endswith(hint)


def test_seconds_are_named_as_such() -> None:
    batch = decode("LabelEvent", json.dumps(LABEL | {"timestamp": NOW_MS // 1000}).encode())
    assert "seconds were probably meant" in batch.dead_letters[0].reason


def test_record_without_kafka_time_is_believed_up_to_2099() -> None:
    assert outcome(decode("LabelEvent", json.dumps(LABEL).encode(), time_ms=-1)) == ("", "")
    assert outcome(decode("LabelEvent", encode_single_object("LabelEvent", LABEL), time_ms=-1)) == ("", "")


def test_dead_letter_shows_the_value_as_text_for_json_and_as_json_for_avro() -> None:
    record = INFERENCE | {"latency_ms": -1.0}
    text = json.dumps(record)
    (letter,) = decode("InferenceEvent", text.encode()).dead_letters
    assert letter.value == text
    assert letter.received_at_ms == NOW_MS
    assert letter.reason == "negative: $.latency_ms: must be 0 or more, got -1.0"
    (letter,) = decode("InferenceEvent", encode_single_object("InferenceEvent", record)).dead_letters
    assert letter.value.startswith('{"prediction_id": "p1", "model": "fraud", "model_version": ""')
    assert len(letter.value) == 200


def test_null_key_is_fine() -> None:
    batch = RawBatch("in", 0, np.zeros(1, np.int64), np.array([NOW_MS]), [None], [json.dumps(LABEL).encode()])
    assert Decoder().decode_labels(batch).columns.num_rows == 1


def test_records_that_are_parsed_already_keep_the_same_rules() -> None:
    records = [
        INFERENCE | {"features": {"a": 1}},
        INFERENCE | {"cost": NAN},
        {"model": "m"},
        INFERENCE | {"x": 1},
    ]
    batch = Decoder().decode_records(
        "inference", records, np.arange(1, 5), np.full(4, NOW_MS), "events.ndjson"
    )
    assert batch.columns.column("offset").to_pylist() == [1, 4]
    assert [(d.topic, d.offset, d.field) for d in batch.dead_letters] == [
        ("events.ndjson", 2, "cost"),
        ("events.ndjson", 3, "prediction_id"),
    ]
    assert dict(batch.unknown_fields) == {"x": 1}


def test_parsed_record_with_text_that_utf_8_cannot_write_is_set_aside_alone() -> None:
    records = [LABEL, LABEL | {"source": "\ud800"}, LABEL | {"label": "\udfff"}, {"\ud800": 1}]
    batch = Decoder().decode_records("label", records, np.arange(4), np.full(4, NOW_MS), "labels.csv")
    assert batch.columns.num_rows == 1
    assert [(d.reason.split(":")[0], d.offset, d.field) for d in batch.dead_letters] == [
        ("broken_utf8", 1, "source"),
        ("broken_utf8", 2, "label"),
        ("missing_field", 3, "prediction_id"),
    ]
    for letter in batch.dead_letters:
        assert (letter.reason + letter.value).encode()


def test_reason_stays_short_however_long_a_key_is() -> None:
    batch = decode("InferenceEvent", json.dumps(INFERENCE | {"segments": {"k" * 5_000: 1}}).encode())
    assert outcome(batch) == ("wrong_type", "segments")
    assert len(batch.dead_letters[0].reason) == 400


def test_lifecycle_events_come_in_offset_order_and_bad_ones_are_set_aside() -> None:
    good = {"model": "m", "timestamp": "2025-11-21T04:40:00Z", "kind": "deployed", "attributes": {"by": "ci"}}
    values = [good, good | {"kind": ""}, good | {"attributes": {"n": 1}}, good | {"model_version": None}]
    avro = encode_single_object("LifecycleEvent", good | {"timestamp": NOW_MS, "kind": "promoted"})
    events, letters = Decoder().decode_lifecycle(raw(*(json.dumps(v).encode() for v in values), avro))
    assert [(e.kind, e.timestamp_ms, e.model_version) for e in events] == [
        ("deployed", NOW_MS, ""),
        ("deployed", NOW_MS, ""),
        ("promoted", NOW_MS, ""),
    ]
    assert events[0].attributes == {"by": "ci"}
    assert [(d.reason.split(":")[0], d.field) for d in letters] == [
        ("empty_field", "kind"),
        ("wrong_type", "attributes"),
    ]
