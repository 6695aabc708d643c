"""Encodings told apart per message: schema ids, foreign writers, CloudEvents, and mixtures of all."""

import io
import json
from base64 import b64encode
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from uuid import UUID

import fastavro
import numpy as np
import pytest
from confluent_kafka.schema_registry import Schema, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas.contracts import INFERENCE, LABEL, OLDER, encode_single_object
from schemas.records import DecodedBatch, Headers, RawBatch
from streams.decode import Decoder, RegisteredSchema, RegistryUnavailable
from streams.worker.registry import ConfluentRegistry

NOW_MS = 1_763_700_000_000
EVENT = {"prediction_id": "p1", "model": "fraud", "timestamp": NOW_MS, "prediction": "yes"}
LABEL_RECORD = {"prediction_id": "p1", "label": 1, "timestamp": NOW_MS}
STRUCTURED: Headers = [("content-type", b"application/CloudEvents+json; charset=utf-8")]
BINARY: Headers = [
    ("ce_id", b"1"),
    ("ce_type", b"x"),
    ("content-type", b"application/json"),
    ("traceparent", None),
]


def raw(values: Sequence[bytes | None], headers: Sequence[Headers] = ()) -> RawBatch:
    n = len(values)
    return RawBatch("in", 0, np.arange(n), np.full(n, NOW_MS), [None] * n, values, headers)


def framed(schema_id: int, payload: bytes) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + payload


def avro(schema: Any, record: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, fastavro.parse_schema(schema), record)
    return sink.getvalue()


def ids(batch: DecodedBatch) -> list[str]:
    found: list[str] = batch.columns.column("prediction_id").to_pylist()
    return found


def codes(batch: DecodedBatch) -> list[tuple[int, str, str]]:
    return [(d.offset, d.reason.split(":")[0], d.field) for d in batch.dead_letters]


class Shelf:
    """A registry in memory that counts what it is asked and can be out of reach."""

    def __init__(self, **schemas: Any) -> None:
        self.schemas = {int(name.removeprefix("id")): schema for name, schema in schemas.items()}
        self.asked: list[int | str] = []
        self.down = False

    def by_id(self, schema_id: int) -> RegisteredSchema | None:
        self.asked.append(schema_id)
        if self.down:
            raise RegistryUnavailable("down")
        schema = self.schemas.get(schema_id)
        return schema if schema is None or isinstance(schema, RegisteredSchema) else registered(schema)

    def by_guid(self, guid: str) -> RegisteredSchema | None:
        return self.by_id(UUID(guid).int)


def registered(schema: Any) -> RegisteredSchema:
    return RegisteredSchema("AVRO", json.dumps(schema))


@pytest.fixture
def mock_registry() -> ConfluentRegistry:
    return ConfluentRegistry("mock://")


@pytest.mark.parametrize("where", ["prefix", "header"])
def test_what_the_confluent_serializer_writes_is_read(mock_registry: ConfluentRegistry, where: str) -> None:
    options: dict[str, Any] = {"subject.name.strategy.type": "TOPIC"}
    if where == "header":
        options["schema.id.serializer"] = header_schema_id_serializer
    serializer = AvroSerializer(mock_registry.client, json.dumps(dict(LABEL.definition)), conf=options)
    headers: list[tuple[str, bytes]] = []
    context = SerializationContext("label-events", MessageField.VALUE, headers)
    value = serializer(
        LABEL_RECORD | {"model": "", "source": "", "sampling_probability": None, "value": 2.5}, context
    )
    batch = Decoder(mock_registry).decode_labels(raw([value] * 3, [headers] * 3 if headers else ()))
    assert bool(headers) == (where == "header")
    assert ids(batch) == ["p1"] * 3
    assert batch.columns.column("value").to_pylist() == [2.5] * 3


def test_mock_registry_answers_unknown_ids_with_none(mock_registry: ConfluentRegistry) -> None:
    assert mock_registry.by_id(99) is None
    assert mock_registry.by_guid("00000000-0000-0000-0000-000000000000") is None


def test_registered_references_come_before_what_uses_them(mock_registry: ConfluentRegistry) -> None:
    from confluent_kafka.schema_registry import SchemaReference

    client = mock_registry.client
    kind = {"type": "enum", "name": "acme.Kind", "symbols": ["A", "B"]}
    client.register_schema("kind", Schema(json.dumps(kind), "AVRO"))
    event = {
        **INFERENCE.definition,
        "fields": [*INFERENCE.definition["fields"], {"name": "kind", "type": "acme.Kind"}],
    }
    schema_id = client.register_schema(
        "event", Schema(json.dumps(event), "AVRO", [SchemaReference("acme.Kind", "kind", 1)])
    )
    found = mock_registry.by_id(schema_id)
    assert found is not None
    assert [json.loads(text)["name"] for text in found.references] == ["acme.Kind"]
    named: dict[str, Any] = {}
    fastavro.parse_schema(kind, named)
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, fastavro.parse_schema(event, named), EVENT | {"kind": "B"})
    batch = Decoder(mock_registry).decode_inference(raw([framed(schema_id, sink.getvalue())]))
    assert ids(batch) == ["p1"]
    assert dict(batch.unknown_fields) == {"kind": 1}


def test_registry_that_refuses_connections_is_unavailable_not_a_reason_to_set_aside() -> None:
    registry = ConfluentRegistry("http://127.0.0.1:9")
    with pytest.raises(RegistryUnavailable, match=r"^schema registry http://127\.0\.0\.1:9: "):
        Decoder(registry).decode_labels(raw([framed(1, b"x")]))


@pytest.mark.parametrize(
    ("status", "body", "known"),
    [
        (200, b'{"schema": "\\"string\\""}', True),
        (404, b'{"error_code": 40403, "message": "Schema 1 not found"}', False),
        (404, b"<html>no such page</html>", None),
        (401, b'{"error_code": 40101, "message": "Unauthorized"}', None),
        (503, b'{"error_code": 50301, "message": "starting"}', None),
        (200, b"<html>login</html>", None),
    ],
)
def test_only_the_registry_itself_can_say_that_an_id_is_unknown(
    status: int, body: bytes, known: bool | None
) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            registry = ConfluentRegistry(f"http://127.0.0.1:{server.server_port}")
            if known is None:
                with pytest.raises(RegistryUnavailable):
                    registry.by_id(1)
            else:
                found = registry.by_id(1)
                assert (found is not None) == known
                assert found is None or found == RegisteredSchema("AVRO", '"string"')
            registry.client.close()
        finally:
            server.shutdown()
            thread.join()


def test_schema_is_asked_for_once_and_the_same_schema_as_ours_is_read_whole() -> None:
    shelf = Shelf(id7=dict(INFERENCE.definition))
    decoder = Decoder(shelf)
    payload = encode_single_object("InferenceEvent", EVENT)[10:]
    for _ in range(3):
        assert ids(decoder.decode_inference(raw([framed(7, payload)] * 50))) == ["p1"] * 50
    assert shelf.asked == [7]


def test_unknown_schema_id_is_set_aside_and_asked_again_in_the_next_batch() -> None:
    shelf = Shelf()
    decoder = Decoder(shelf)
    value = framed(7, encode_single_object("InferenceEvent", EVENT)[10:])
    batch = decoder.decode_inference(raw([value, json.dumps(EVENT).encode()]))
    assert codes(batch) == [(0, "unknown_schema_id", "")]
    assert ids(batch) == ["p1"]
    shelf.schemas[7] = dict(INFERENCE.definition)
    assert ids(decoder.decode_inference(raw([value]))) == ["p1"]


def test_registry_out_of_reach_stops_the_batch_and_known_ids_still_decode() -> None:
    shelf = Shelf(id7=dict(INFERENCE.definition), id8=dict(INFERENCE.definition))
    decoder = Decoder(shelf)
    payload = encode_single_object("InferenceEvent", EVENT)[10:]
    decoder.decode_inference(raw([framed(7, payload)]))
    shelf.down = True
    assert ids(decoder.decode_inference(raw([framed(7, payload)]))) == ["p1"]
    with pytest.raises(RegistryUnavailable):
        decoder.decode_inference(raw([framed(7, payload), framed(8, payload)]))
    shelf.down = False
    assert ids(decoder.decode_inference(raw([framed(7, payload), framed(8, payload)]))) == ["p1", "p1"]


FOREIGN = {
    "type": "record",
    "name": "acme.Scored",
    "fields": [
        {"name": "trace", "type": {"type": "array", "items": "int"}},
        {"name": "prediction", "type": "int"},
        {"name": "timestamp", "type": "long"},
        {"name": "model", "type": "string"},
        {"name": "prediction_id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "model_version", "type": ["null", "string"]},
        {"name": "latency_ms", "type": "float"},
        {"name": "features", "type": {"type": "map", "values": "int"}},
    ],
}
SCORED = {
    "trace": [1, 2],
    "prediction": 3,
    "timestamp": NOW_MS,
    "model": "fraud",
    "prediction_id": "3f2b0000-0000-4000-8000-000000000001",
    "model_version": None,
    "latency_ms": 2.5,
    "features": {"a": 4},
}


def test_foreign_writer_is_resolved_by_avros_rules() -> None:
    batch = Decoder(Shelf(id9=FOREIGN)).decode_inference(raw([framed(9, avro(FOREIGN, SCORED))]))
    assert not batch.dead_letters
    (row,) = batch.columns.to_pylist()
    assert (row["prediction_id"], row["model_version"]) == (SCORED["prediction_id"], "")
    assert (row["prediction"], type(row["prediction"]), row["latency_ms"]) == (3, int, 2.5)
    assert (row["features"], row["status"], row["role"]) == ([("a", 4)], "ok", "primary")
    assert dict(batch.unknown_fields) == {"trace": 1}


def changed(name: str, kind: Any) -> dict[str, Any]:
    fields = [
        {"name": f["name"], "type": kind if f["name"] == name else f["type"]} for f in FOREIGN["fields"]
    ]  # type: ignore[index]
    return {**FOREIGN, "fields": [f for f in fields if f["type"] is not None]}


RECURSIVE = changed(
    "trace", {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
)


def deep(depth: int) -> bytes:
    return b"\x02" * depth + b"\x00" + avro(FOREIGN, SCORED)[4:]


@pytest.mark.parametrize(
    ("schema", "payload", "code", "field"),
    [
        (
            changed("prediction_id", "long"),
            avro(changed("prediction_id", "long"), SCORED | {"prediction_id": 5}),
            "wrong_type",
            "prediction_id",
        ),
        (
            changed("timestamp", "string"),
            avro(changed("timestamp", "string"), SCORED | {"timestamp": "2025-11-21T04:40:00Z"}),
            "wrong_type",
            "",
        ),
        (changed("prediction_id", None), b"", "missing_field", "prediction_id"),
        (FOREIGN, avro(FOREIGN, SCORED)[:-4], "malformed_avro", ""),
        (FOREIGN, avro(FOREIGN, SCORED | {"latency_ms": -1.0}), "negative", "latency_ms"),
        (FOREIGN, avro(FOREIGN, SCORED | {"timestamp": NOW_MS * 1000}), "timestamp_in_future", "timestamp"),
        (dict(LABEL.definition), encode_single_object("LabelEvent", LABEL_RECORD)[10:], "wrong_event", ""),
        ("string", b"\x02a", "unusable_schema", ""),
        (
            {"type": "record", "name": "X", "fields": [{"name": "a", "type": "Unheard"}]},
            b"",
            "unusable_schema",
            "",
        ),
        (changed("trace", {"type": "array", "items": "null"}), b"\x80" * 9 + b"\x01", "unusable_schema", ""),
        (RECURSIVE, deep(200_000), "too_deep", ""),
        (RegisteredSchema("PROTOBUF", "message X {}"), b"\x00", "unusable_schema", ""),
        (RegisteredSchema("AVRO", "{not json"), b"\x00", "unusable_schema", ""),
    ],
    ids=lambda v: str(v)[:30],
)
def test_foreign_message_that_cannot_be_used_is_set_aside(
    schema: Any, payload: bytes, code: str, field: str
) -> None:
    good = framed(9, avro(FOREIGN, SCORED))
    batch = Decoder(Shelf(id5=schema, id9=FOREIGN)).decode_inference(raw([good, framed(5, payload), good]))
    assert codes(batch) == [(1, code, field)]
    assert batch.columns.num_rows == 2


def test_recursive_schema_of_modest_depth_is_read() -> None:
    batch = Decoder(Shelf(id5=RECURSIVE)).decode_inference(raw([framed(5, deep(20))]))
    assert not batch.dead_letters


def test_json_under_a_json_schema_is_read_behind_its_id() -> None:
    shelf = Shelf(id4=RegisteredSchema("JSON", "{}"))
    assert ids(Decoder(shelf).decode_inference(raw([framed(4, json.dumps(EVENT).encode())]))) == ["p1"]


def test_header_is_looked_at_before_the_prefix() -> None:
    guid = UUID(int=77)
    shelf = Shelf(id77=dict(INFERENCE.definition))
    payload = encode_single_object("InferenceEvent", EVENT)[10:]
    headers: Headers = [("__value_schema_id", b"\x01" + guid.bytes)]
    batch = Decoder(shelf).decode_inference(raw([payload, payload], [headers, headers]))
    assert ids(batch) == ["p1", "p1"]
    assert shelf.asked == [77]


@pytest.mark.parametrize("schema_id", [b"\x01short", b"\x02" + bytes(16), b"\x00\x00"])
def test_header_that_is_no_schema_id_is_set_aside(schema_id: bytes) -> None:
    batch = Decoder(Shelf()).decode_inference(raw([b"abc"], [[("__value_schema_id", schema_id)]]))
    assert codes(batch) == [(0, "unknown_schema_id", "")]


def test_cloudevents_around_every_encoding() -> None:
    shelf = Shelf(id7=dict(INFERENCE.definition))
    single = encode_single_object("InferenceEvent", EVENT)
    confluent = framed(7, single[10:])

    def envelope(**data: Any) -> bytes:
        return json.dumps({"specversion": "1.0", "id": "1", "source": "/x", "type": "y", **data}).encode()

    values = [
        envelope(data=EVENT),
        envelope(data_base64=b64encode(single).decode()),
        envelope(data_base64=b64encode(confluent).decode()),
        envelope(data_base64=b64encode(json.dumps(EVENT).encode()).decode()),
        single,
        confluent,
        json.dumps(EVENT).encode(),
    ]
    headers = [STRUCTURED] * 4 + [BINARY] * 3
    batch = Decoder(shelf).decode_inference(raw(values, headers))
    assert not batch.dead_letters
    assert ids(batch) == ["p1"] * 7


@pytest.mark.parametrize(
    ("envelope", "code", "field"),
    [
        (b'{"id": "1"}', "malformed_cloudevent", "data"),
        (b'{"data": null}', "malformed_cloudevent", "data"),
        (b'{"data": "text"}', "not_an_object", "data"),
        (b'{"data": [1]}', "not_an_object", "data"),
        (b'{"data_base64": "%%%"}', "malformed_cloudevent", "data_base64"),
        (b'{"data_base64": ""}', "empty_value", ""),
        (b'{"data_base64": 5}', "malformed_cloudevent", "data"),
        (b"[1]", "not_an_object", ""),
        (b'{"data": ' + b"[" * 40 + b"]" * 40 + b"}", "too_deep", ""),
        (b'{"data": {"model": ""}}', "missing_field", "prediction_id"),
    ],
)
def test_structured_cloudevent_without_readable_data_is_set_aside(
    envelope: bytes, code: str, field: str
) -> None:
    assert codes(Decoder().decode_inference(raw([envelope], [STRUCTURED]))) == [(0, code, field)]


def test_one_batch_of_all_encodings_keeps_the_order_of_offsets() -> None:
    shelf = Shelf(id7=dict(INFERENCE.definition), id9=FOREIGN)

    def named(at: int) -> dict[str, Any]:
        return EVENT | {
            "prediction_id": f"p{at}",
            "prediction": [None, True, 1, 1.5, "s"][at % 5],
            "status": "x",
        }

    values: list[bytes | None] = []
    for at in range(60):
        single = encode_single_object("InferenceEvent", named(at))
        foreign = avro(FOREIGN, SCORED | {"prediction_id": f"p{at}"})
        kinds = [
            single,
            json.dumps(named(at)).encode(),
            framed(7, single[10:]),
            framed(9, foreign),
            None,
            b"{",
        ]
        values.append(kinds[at * 7 % 6])
    batch = Decoder(shelf).decode_inference(raw(values))
    batch.columns.validate(full=True)
    good = [at for at in range(60) if at * 7 % 6 < 4]
    assert batch.columns.column("offset").to_pylist() == good
    assert ids(batch) == [f"p{at}" for at in good]
    assert [d.offset for d in batch.dead_letters] == [at for at in range(60) if at * 7 % 6 >= 4]
    predictions = batch.columns.column("prediction").to_pylist()
    assert predictions == [3 if at * 7 % 6 == 3 else named(at)["prediction"] for at in good]


def older(record: dict[str, Any]) -> bytes:
    (before,) = OLDER["InferenceEvent"]
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, before.parsed, record)
    return before.single_object_prefix + sink.getvalue()


def test_what_was_written_before_there_were_bounds_is_read_as_without_them() -> None:
    bounded = EVENT | {"prediction": 1.5, "prediction_lower": 1.0, "prediction_upper": 2.0}
    old = [older(EVENT | {"prediction_id": f"old{i}", "latency_ms": 2.5}) for i in range(3)]
    new = [encode_single_object("InferenceEvent", bounded), json.dumps(bounded).encode()]
    for values in (old, [old[0], new[0], old[1], new[1], old[2]]):
        batch = Decoder().decode_inference(raw(values))
        assert not batch.dead_letters
        assert len(batch.columns) == len(values)
        for row in batch.columns.to_pylist():
            is_old = row["prediction_id"].startswith("old")
            assert row["latency_ms"] == (2.5 if is_old else None)
            bounds = (row["prediction_lower"], row["prediction_upper"])
            assert bounds == ((None, None) if is_old else (1.0, 2.0))


def test_a_broken_older_message_costs_itself_only_and_says_what_broke() -> None:
    good, broken = older(EVENT), older(EVENT)[:-20]
    wrong = older(EVENT | {"latency_ms": -1.0})
    batch = Decoder().decode_inference(raw([good, broken, good, wrong]))
    assert ids(batch) == ["p1", "p1"]
    assert codes(batch) == [(1, "malformed_avro", ""), (3, "negative", "latency_ms")]


def test_an_older_inference_event_among_labels_is_named() -> None:
    batch = Decoder().decode_labels(raw([older(EVENT)]))
    assert codes(batch) == [(0, "wrong_event", "")]
