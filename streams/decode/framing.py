"""How one message is wrapped, told apart per message: CloudEvents, schema ids, single-object Avro, JSON."""

import binascii
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from schemas.contracts import BY_FINGERPRINT, OLDER_BY_FINGERPRINT, SINGLE_OBJECT_MARK, Contract
from schemas.records import Headers
from streams.decode.json_text import parse_object
from streams.decode.reasons import RejectedError
from streams.decode.registry import RegisteredSchema, Registry
from streams.decode.writers import Writer, older_writers, own_writer, writer_of

MAX_BYTES = 1_000_000
CONFLUENT_MARK: Final = b"\x00"
GUID_MARK: Final = b"\x01"
SCHEMA_HEADER = "__value_schema_id"
STRUCTURED = b"application/cloudevents+json"
# Header names that change how the value is read; others, such as traceparent or ce_id, do not.
TELLING_HEADERS: Final = frozenset({SCHEMA_HEADER, "content-type"})


@dataclass(frozen=True, slots=True)
class Framed:
    """A payload with the schema it was written with (None: JSON), or a JSON document already parsed."""

    payload: bytes
    writer: Writer | None = None
    document: Any = None


@dataclass
class Frames:
    """Takes messages of one contract apart; keeps the writers' schemas that it has met.

    A schema that is unknown or unusable is asked for once per batch, not for ever: it may be registered
    a moment later.
    """

    contract: Contract
    registry: Registry | None = None
    own: Writer = field(init=False)
    _older: dict[bytes, Writer] = field(init=False)
    _writers: dict[bytes, Writer] = field(default_factory=dict)
    _refused: dict[bytes, RejectedError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.own = own_writer(self.contract)
        self._older = older_writers(self.contract)

    def start_batch(self) -> None:
        self._refused.clear()

    def take_apart(self, value: bytes | None, headers: Headers) -> Framed:
        """Return payload and writer of one message.

        Raises
        ------
        RejectedError
            When the framing itself breaks a rule.
        RegistryUnavailable
            When it takes the registry to know.
        """
        if not value:
            raise RejectedError("empty_value", "", "null" if value is None else "zero bytes")
        if len(value) > MAX_BYTES:
            raise RejectedError("too_large", "", f"at most {MAX_BYTES} bytes are read, got {len(value)}")
        schema_id: bytes | None = None
        for name, content in headers:
            lower = name.lower()
            if lower == "content-type" and (content or b"").lower().lstrip().startswith(STRUCTURED):
                return self._structured(value)
            if lower == SCHEMA_HEADER and content:
                schema_id = content
        if schema_id is not None:
            return self._registered(schema_id, value)
        return self._bare(value)

    def _bare(self, value: bytes) -> Framed:
        if value.startswith(self.contract.single_object_prefix):
            return Framed(value[10:], self.own)
        if value.startswith(SINGLE_OBJECT_MARK):
            if older := self._older.get(value[:10]):
                return Framed(value[10:], older)
            raise self._foreign_fingerprint(value)
        if value.startswith(CONFLUENT_MARK):
            if len(value) < 5:
                raise RejectedError("malformed_avro", "", "a schema id has 4 bytes, the value ends before")
            return self._registered(value[:5], value[5:])
        return Framed(value)

    def _foreign_fingerprint(self, value: bytes) -> RejectedError:
        if len(value) < 10:
            return RejectedError("malformed_avro", "", "a fingerprint has 8 bytes, the value ends before")
        if other := BY_FINGERPRINT.get(value[2:10]) or OLDER_BY_FINGERPRINT.get(value[2:10]):
            return RejectedError("wrong_event", "", f"expected {self.contract.name}, got {other.name}")
        return RejectedError(
            "unknown_fingerprint", "", f"0x{value[2:10].hex()} (as in the value, little endian)"
        )

    def _structured(self, value: bytes) -> Framed:
        envelope = parse_object(value)
        if (data := envelope.get("data")) is not None:
            return Framed(b"", document=data)
        encoded = envelope.get("data_base64")
        if not isinstance(encoded, str):
            raise RejectedError("malformed_cloudevent", "data", "neither data nor data_base64")
        try:
            payload = b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RejectedError("malformed_cloudevent", "data_base64", str(error)) from None
        if not payload:
            raise RejectedError("empty_value", "", "data_base64 is empty")
        return self._bare(payload)

    def _registered(self, key: bytes, payload: bytes) -> Framed:
        if self.registry is None:
            raise RejectedError(
                "no_registry", "", f"schema id 0x{key.hex()}, and no [schema_registry] url is set"
            )
        if refusal := self._refused.get(key):
            raise RejectedError(refusal.code, refusal.field, refusal.detail)
        writer = self._writers.get(key)
        if writer is None:
            try:
                writer = self._writers[key] = writer_of(self._ask(key, self.registry), self.contract)
            except RejectedError as refusal:
                self._refused[key] = refusal
                raise
        return Framed(payload, writer) if writer.parsed is not None else Framed(payload)

    def _ask(self, key: bytes, registry: Registry) -> RegisteredSchema:
        ask: Callable[[], RegisteredSchema | None]
        if key[:1] == CONFLUENT_MARK and len(key) == 5:
            number = int.from_bytes(key[1:], "big")
            name, ask = str(number), lambda: registry.by_id(number)
        elif key[:1] == GUID_MARK and len(key) == 17:
            guid = str(UUID(bytes=key[1:]))
            name, ask = guid, lambda: registry.by_guid(guid)
        else:
            raise RejectedError(
                "unknown_schema_id", "", f"header {SCHEMA_HEADER} 0x{key.hex()} is no schema id"
            )
        if (schema := ask()) is None:
            raise RejectedError("unknown_schema_id", "", name)
        return schema
