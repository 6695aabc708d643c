"""The event contracts as shipped: the ``.avsc`` files, parsed, with their fingerprints and defaults."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

import fastavro
from fastavro.schema import fingerprint

Json = Any  # what json.loads returns; an Avro schema is a str, a list or a dict of these


@dataclass(frozen=True, slots=True)
class ContractField:
    """One field of a contract; ``has_default`` tells a default of null from no default."""

    name: str
    type: Json
    doc: str
    default: Json
    has_default: bool

    @property
    def nullable(self) -> bool:
        return isinstance(self.type, list) and "null" in self.type


@dataclass(frozen=True)
class Contract:
    """One ``.avsc`` file: its definition as JSON and what follows from it."""

    definition: Mapping[str, Json]

    @property
    def name(self) -> str:
        return str(self.definition["name"])

    @cached_property
    def fields(self) -> tuple[ContractField, ...]:
        return tuple(
            ContractField(f["name"], f["type"], f["doc"], f.get("default"), "default" in f)
            for f in self.definition["fields"]
        )

    @cached_property
    def parsed(self) -> Json:
        return fastavro.parse_schema(dict(self.definition))

    @cached_property
    def plain(self) -> Json:
        """The schema without logical types: times stay integers, whatever their size."""
        return fastavro.parse_schema(without_logical_types(self.definition))

    @cached_property
    def fingerprint(self) -> bytes:
        """The CRC-64-AVRO of the canonical form, little endian, as single-object encoding wants it."""
        return bytes.fromhex(
            fingerprint(fastavro.schema.to_parsing_canonical_form(self.parsed), "CRC-64-AVRO")
        )

    @cached_property
    def single_object_prefix(self) -> bytes:
        return SINGLE_OBJECT_MARK + self.fingerprint


SINGLE_OBJECT_MARK: Final = b"\xc3\x01"


def without_logical_types(schema: Json) -> Json:
    """Return a copy of an Avro schema in which every type is read as the type underneath.

    Examples
    --------
    >>> without_logical_types({"type": "long", "logicalType": "timestamp-millis"})
    {'type': 'long'}
    """
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    if isinstance(schema, Mapping):
        return {
            key: value if key in {"default", "doc", "symbols", "aliases"} else without_logical_types(value)
            for key, value in schema.items()
            if key != "logicalType"
        }
    return schema


def _load(file_name: str) -> Contract:
    return Contract(json.loads((files("schemas") / file_name).read_text("utf-8")))


INFERENCE: Final = _load("inference_event.avsc")
LABEL: Final = _load("label_event.avsc")
LIFECYCLE: Final = _load("lifecycle_event.avsc")
ALERT: Final = _load("alert_event.avsc")
CONTRACTS: Final = {contract.name: contract for contract in (INFERENCE, LABEL, LIFECYCLE, ALERT)}
BY_FINGERPRINT: Final = {contract.fingerprint: contract for contract in CONTRACTS.values()}
# As they were shipped before fields were added at their end: what was written so is read for ever.
OLDER: Final = {"InferenceEvent": (_load("older/inference_event_1.avsc"),)}
OLDER_BY_FINGERPRINT: Final = {older.fingerprint: older for before in OLDER.values() for older in before}


def encode_single_object(name: str, record: Mapping[str, Any]) -> bytes:
    """Return a record in Avro single-object encoding under the contract ``name``, such as "LabelEvent".

    Fields that are left out take their defaults. Raises what fastavro raises where a value does not fit.

    Examples
    --------
    >>> encode_single_object("LabelEvent", {"prediction_id": "a", "label": "yes", "timestamp": 0})[:2].hex()
    'c301'
    """
    contract = CONTRACTS[name]
    sink = io.BytesIO()
    sink.write(contract.single_object_prefix)
    fastavro.schemaless_writer(sink, contract.parsed, record)
    return sink.getvalue()
