"""Privacy: what the rules name leaves every event, whatever its encoding, and all else stays as it was."""

import io
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import INFERENCE_COLUMNS, LABEL_COLUMNS
from schemas.contracts import encode_single_object
from schemas.privacy import Action, PrivacySettings, read_rule
from schemas.records import DecodedBatch, RawBatch
from streams.decode import Decoder

NOW_MS = 1_763_700_000_000
KEY = b"a key of the tests"
LINES: tuple[tuple[Action, str], ...] = (
    ("drop", "features.mail*"),
    ("hash", "features.customer"),
    ("truncate", "features.zip:2"),
    ("drop", "segments.name"),
    ("hash", "segments.cust?mer"),
    ("truncate", "segments.zip:3"),
    ("hash", "prediction_id"),
    ("hash", "request_id"),
    ("drop", "trace_id"),
    ("truncate", "source:1"),
    ("hash", "features.*_id"),
    ("drop", "features.card_id"),
)
RULES = PrivacySettings(tuple(read_rule(action, text) for action, text in LINES), KEY, keeps_payload=False)
PLAIN, TREATING = Decoder(), Decoder(privacy=RULES)


def hashed(text: str) -> str:
    if not text:
        return ""
    key = blake2b(KEY, digest_size=32, person=b"aftcast privacy").digest()
    return blake2b(text.encode(), key=key, digest_size=16).hexdigest()


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def expected(path: str, value: Any) -> tuple[bool, Any]:
    """Return whether a value stays at all, and as what; each rule is tried by itself."""
    for action in ("drop", "hash", "truncate"):
        for one, text in LINES:
            pattern, _, count = text.rpartition(":") if one == "truncate" else (text, "", "0")
            if one == action and fnmatchcase(path, pattern):
                if action == "drop":
                    return False, None
                if value is None:
                    return True, None
                return True, hashed(as_text(value)) if action == "hash" else as_text(value)[: int(count)]
    return True, value


def treated(event: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in event.items():
        if name in ("features", "segments"):
            entries = {key: expected(f"{name}.{key}", one) for key, one in value.items()}
            found[name] = {key: one for key, (stays, one) in entries.items() if stays}
        else:
            found[name] = expected(name, value)[1]
    return found


def raw(values: list[bytes], topic: str = "inference-events") -> RawBatch:
    n = len(values)
    return RawBatch(topic, 3, np.arange(n), np.full(n, NOW_MS), [b"key-of-alice"] * n, values)


def rows(batch: DecodedBatch) -> list[dict[str, Any]]:
    batch.columns.validate(full=True)
    return [
        {name: dict(value) if name in ("features", "segments") else value for name, value in row.items()}
        for row in batch.columns.drop_columns(["offset", "record_time_ms"]).to_pylist()
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
doubles = st.one_of(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), st.sampled_from([-0.0, 1e15, 2.0**60]))
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), doubles, texts)
feature_names = st.sampled_from(
    ["mail", "mail_2", "customer", "zip", "x", "card_id", "house_id", "customerx", "Zip"]
)
segment_names = st.sampled_from(["name", "customer", "custxmer", "zip", "country"])
predictions = st.builds(
    dict,
    prediction_id=texts.filter(bool),
    model=st.sampled_from(["m", "n"]),
    prediction=st.sampled_from(["yes", 1, 2.5, True]),
    features=st.dictionaries(feature_names, scalars),
    segments=st.dictionaries(segment_names, texts),
    request_id=st.none() | texts,
    trace_id=st.none() | texts,
    timestamp=st.just(NOW_MS),
)
labels = st.builds(
    dict, prediction_id=texts.filter(bool), label=scalars, source=texts, timestamp=st.just(NOW_MS)
)


def in_json(event: dict[str, Any], _label: bool) -> bytes:
    return json.dumps(event).encode()


def in_avro(event: dict[str, Any], label: bool) -> bytes:
    return encode_single_object("LabelEvent" if label else "InferenceEvent", event)


@pytest.mark.parametrize("encoded", [in_json, in_avro])
@pytest.mark.parametrize("label", [False, True])
@settings(max_examples=30)
@given(data=st.data())
def test_each_field_becomes_what_its_rule_says_and_every_other_stays(
    encoded: Any, label: bool, data: st.DataObject
) -> None:
    events = data.draw(st.lists(labels if label else predictions, min_size=1, max_size=6))
    batch = raw([encoded(event, label) for event in events])
    plain = PLAIN.decode_labels(batch) if label else PLAIN.decode_inference(batch)
    found = TREATING.decode_labels(batch) if label else TREATING.decode_inference(batch)
    assert found.columns.schema.equals(LABEL_COLUMNS if label else INFERENCE_COLUMNS)
    assert repr(rows(found)) == repr([treated(row) for row in rows(plain)])


def test_batches_of_several_encodings_with_bad_records_between_are_treated_alike() -> None:
    values = []
    for i in range(200):
        event = {"prediction_id": f"p{i}", "model": "m", "prediction": i, "timestamp": NOW_MS}
        event |= {"segments": {"name": "n", "zip": f"1234{i}", "country": "DE"}, "request_id": f"r{i}"}
        event["features"] = {"mail": "a@b", "customer": i % 7 or None, "zip": i / 3, "x": i}
        values.append((in_json if i % 3 else in_avro)(event, False))
    values[10], values[11], values[150] = b"{", b"\xc3\x01", json.dumps({"features": 1}).encode()
    for batch in (raw(values), raw(values[::3]), raw(values[1:9])):
        plain, found = PLAIN.decode_inference(batch), TREATING.decode_inference(batch)
        assert rows(found) == [treated(row) for row in rows(plain)]
        assert found.columns.column("offset").equals(plain.columns.column("offset"))
        assert len(found.dead_letters) == len(plain.dead_letters)


def written(columns: pa.RecordBatch) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, columns.schema) as stream:
        stream.write_batch(columns)
    return sink.getvalue()


def test_no_buffer_of_a_treated_batch_holds_what_was_taken_away() -> None:
    number, double = 7_217_321_077_345, 0.123456789012345
    event = {
        "prediction_id": "alice-1", "model": "m", "prediction": 1, "timestamp": NOW_MS,
        "features": {"mail": "alice@a", "customer": number, "house_id": double, "zip": "alice", "x": 1},
        "segments": {"name": "alice", "customer": "alice-2", "zip": "a"},
        "request_id": "alice-3", "trace_id": "alice-4",
    }  # fmt: skip
    originals = [b"alice", np.int64(number).tobytes(), np.float64(double).tobytes()]
    for value in (in_json(event, False), in_avro(event, False)):
        batch = raw([value] * 3)
        assert all(original in written(PLAIN.decode_inference(batch).columns) for original in originals)
        found = written(TREATING.decode_inference(batch).columns)
        assert not [original for original in originals if original in found]


def test_the_same_value_has_the_same_hash_in_every_type_field_and_decoder_and_another_with_another_key() -> (
    None
):
    def features(value: Any, key: bytes = KEY) -> list[Any]:
        rules = PrivacySettings((read_rule("hash", "features.*"), read_rule("hash", "request_id")), key)
        event = {"prediction_id": "p", "model": "m", "prediction": 1, "timestamp": NOW_MS}
        event |= {"features": {"a": value, "b": str(value)}, "request_id": str(value)}
        (row,) = rows(Decoder(privacy=rules).decode_inference(raw([json.dumps(event).encode()])))
        return [*row["features"].values(), row["request_id"]]

    assert len({*features(5), *features("5"), *features(5.0)[:1]}) == 1
    assert set(features(5)).isdisjoint(features(5, b"another key of it"))


def test_predictions_and_labels_still_meet() -> None:
    prediction = {"prediction_id": "p1", "model": "m", "prediction": 1, "timestamp": NOW_MS}
    label = {"prediction_id": "p1", "label": 1, "timestamp": NOW_MS}
    one = TREATING.decode_inference(raw([json.dumps(prediction).encode()])).columns
    two = TREATING.decode_labels(raw([json.dumps(label).encode()])).columns
    assert one.column("prediction_id").equals(two.column("prediction_id"))


BROKEN: list[bytes] = [
    b'{"name": "alice',
    b"\xffalice",
    b'{"prediction_id": "alice", "model": "m", "prediction": 1, "timestamp": "alice"}',
    b'{"prediction_id": "alice", "model": "m", "prediction": 1, "timestamp": 1763700000000,'
    b' "scores": {"alice": 2}}',
    b'{"prediction_id": "alice", "model": "m", "prediction": 1, "timestamp": 1763700000000,'
    b' "latency_ms": "alice"}',
    b"\xc3\x01alicealice",
    b"\x00\x00\x00\x00\x07alice",
]


def test_dead_letters_tell_the_rule_and_nothing_of_what_came() -> None:
    plain, found = (decoder.decode_inference(raw(BROKEN)) for decoder in (PLAIN, TREATING))
    assert "alice" in repr(plain.dead_letters)
    assert "alice" not in repr(found.dead_letters)
    assert len(found.dead_letters) == len(BROKEN)
    for before, after in zip(plain.dead_letters, found.dead_letters, strict=True):
        assert after.reason.partition(":")[0] == before.reason.partition(":")[0]
        assert (after.offset, after.field) == (before.offset, before.field)
        assert TREATING.privacy.letter(after) == after


def test_payloads_are_kept_where_that_was_asked_for() -> None:
    keeping = Decoder(privacy=PrivacySettings(RULES.rules, KEY, keeps_payload=True))
    batch = raw(BROKEN)
    assert keeping.decode_inference(batch).dead_letters == PLAIN.decode_inference(batch).dead_letters


def test_lifecycle_events_lose_who_did_it() -> None:
    rules = (
        read_rule("hash", "actor"),
        read_rule("drop", "attributes.mail"),
        read_rule("truncate", "message:2"),
    )
    event = {"model": "m", "timestamp": NOW_MS, "kind": "deployed", "actor": "alice", "message": "by alice"}
    event["attributes"] = {"mail": "alice@a", "build": "7"}
    decoder = Decoder(privacy=PrivacySettings(rules, KEY))
    (found,), letters = decoder.decode_lifecycle(raw([json.dumps(event).encode()], "lifecycle-events"))
    assert (found.actor, found.message, found.attributes) == (hashed("alice"), "by", {"build": "7"})
    assert not letters


@pytest.mark.parametrize(
    ("action", "text", "rule"),
    [
        ("drop", "features", 'must name entries, such as "features.email" or "features.\\*_name"'),
        ("drop", "prediction_id", "must be hashed if anything"),
        ("truncate", "prediction_id:3", "must be hashed if anything"),
        ("truncate", "source", "must end with how many characters stay"),
        ("truncate", "source:0", "must end with how many characters stay"),
        ("hash", "model", "must be one of features.NAME"),
        ("hash", "request_id.x", "must be one of features.NAME"),
    ],
)
def test_a_rule_for_what_cannot_be_treated_is_refused(action: Action, text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=f"^{rule}"):
        read_rule(action, text)
