"""The schemas that messages were written with: the contracts' own, and foreign ones resolved into them."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fastavro
import fastavro._read_py
from fastavro.read import SchemaResolutionError
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.contracts import BY_FINGERPRINT, OLDER, Contract, Json, without_logical_types
from streams.decode.reasons import RejectedError
from streams.decode.registry import RegisteredSchema
from streams.decode.rules import check
from streams.decode.times import LATEST_MS


@dataclass(frozen=True)
class Writer:
    """A writer's schema against one contract; ``own`` where both are the same to the byte.

    ``version`` is 0 of our own schema, above it of an older one that we shipped
    (``schemas.contracts.OLDER``), None of any other. ``parsed`` is None for JSON payloads. ``extra`` are the
    writer's fields that the contract lacks.
    """

    contract: Contract
    version: int | None
    parsed: Json = None
    reader: Json = None
    recursive: bool = False
    extra: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        return self.version == 0

    def read(self, payload: bytes) -> dict[str, Any]:
        """Return the record; ``RejectedError`` where the bytes do not fit the schemas.

        Bytes after the record are ignored, as by every Avro reader.
        """
        try:
            return self._record(payload, self.reader)
        except RecursionError:
            raise RejectedError("too_deep", "", "recursive Avro data, nested too deep") from None
        except SchemaResolutionError as error:
            raise self._mismatch(payload, str(error)) from None
        except UnicodeDecodeError as error:
            field = self._broken_field(payload)
            raise RejectedError("broken_utf8", field, f"$.{field}: {error.reason}") from None
        except Exception as error:
            # Corrupt bytes lead the reader to errors of any class, in words that name memory addresses.
            field = self._broken_field(payload)
            detail = "the data ends too early" if isinstance(error, EOFError) else "the data is corrupt"
            raise RejectedError("malformed_avro", field, f"$.{field}: {detail}") from None

    def _record(self, payload: bytes, reader: Json) -> dict[str, Any]:
        # The compiled reader overflows the C stack on deep recursive data; the one in Python raises.
        read = fastavro._read_py.schemaless_reader if self.recursive else fastavro.schemaless_reader
        record: Any = read(io.BytesIO(payload), self.parsed, reader)
        return dict(record)

    def _mismatch(self, payload: bytes, detail: str) -> RejectedError:
        """Name the field whose type does not resolve, by the rules over what the writer meant."""
        try:
            check(self.contract.name, self._record(payload, None), LATEST_MS)
        except RejectedError as refusal:
            if refusal.code == "wrong_type":
                return refusal
        except Exception:
            return RejectedError("malformed_avro", "", "the data is corrupt")
        return RejectedError("wrong_type", "", f"the writer's type does not resolve into ours: {detail}")

    def _broken_field(self, payload: bytes) -> str:
        if not self.own or self.parsed is None:
            return ""
        stream = io.BytesIO(payload)
        for field in self.parsed["fields"]:
            try:
                fastavro.schemaless_reader(stream, field["type"], None)
            except Exception:
                return str(field["name"])
        return ""


def own_writer(contract: Contract) -> Writer:
    return Writer(contract, 0, parsed=contract.plain)


def older_writers(contract: Contract) -> dict[bytes, Writer]:
    """Return the writers of the contract's older versions, by what their values begin with."""
    return {
        older.single_object_prefix: Writer(
            contract, version, parsed=older.plain, reader=_reader(contract, older.plain["name"])
        )
        for version, older in enumerate(OLDER.get(contract.name, ()), 1)
    }


def writer_of(schema: RegisteredSchema, contract: Contract) -> Writer:
    """Return how to read what ``schema`` wrote as ``contract``; ``RejectedError`` where that cannot be."""
    if schema.kind == "JSON":
        return Writer(contract, None)
    if schema.kind != "AVRO":
        raise RejectedError("unusable_schema", "", f"expected an Avro or JSON schema, got {schema.kind}")
    parsed, named, known = _parse(schema)
    if known is not None:
        if known is not contract:
            raise RejectedError("wrong_event", "", f"expected {contract.name}, got {known.name}")
        return own_writer(contract)
    if not isinstance(parsed, Mapping) or parsed.get("type") != "record":
        raise RejectedError("unusable_schema", "", "the writer's schema is not a record")
    if _has_weightless_items(parsed, named, frozenset()):
        raise RejectedError("unusable_schema", "", "a list of items that take no bytes has no bounded size")
    theirs = {field["name"] for field in parsed["fields"]}
    ours = {field.name for field in contract.fields}
    for field in contract.fields:
        if field.name not in theirs and not field.has_default:
            raise RejectedError("missing_field", field.name, f"$.{field.name}: not in the writer's schema")
    return Writer(
        contract,
        None,
        parsed=parsed,
        reader=_reader(contract, parsed["name"]),
        recursive=_is_recursive(parsed, named, frozenset()),
        extra=tuple(sorted(theirs - ours)),
    )


def _parse(schema: RegisteredSchema) -> tuple[Json, dict[str, Json], Contract | None]:
    named: dict[str, Json] = {}
    try:
        for reference in schema.references:
            fastavro.parse_schema(without_logical_types(json.loads(reference)), named)
        parsed: Json = fastavro.parse_schema(without_logical_types(json.loads(schema.text)), named)
        mark = bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))
    except (
        ValueError,
        TypeError,
        LookupError,
        RecursionError,
        fastavro.schema.SchemaParseException,
    ) as error:
        raise RejectedError("unusable_schema", "", f"the writer's schema does not parse: {error!r}") from None
    return parsed, named, BY_FINGERPRINT.get(mark)


def _reader(contract: Contract, name: str) -> Json:
    definition = without_logical_types(contract.definition)
    definition.pop("namespace")
    # Producers name their record as they like, and a null stands for the default.
    definition["name"] = name
    for field in definition["fields"]:
        if "default" in field and not isinstance(field["type"], list):
            field["type"] = [field["type"], "null"]
    return fastavro.parse_schema(definition)


def _parts(schema: Json, named: Mapping[str, Json]) -> tuple[str, Json, list[Json]]:
    if isinstance(schema, str):
        return (schema, named[schema], [named[schema]]) if schema in named else (schema, schema, [])
    if isinstance(schema, list):
        return "", schema, schema
    kind = schema["type"]
    if kind in {"record", "error"}:
        return schema["name"], schema, [field["type"] for field in schema["fields"]]
    if kind in {"array", "map"}:
        return "", schema, [schema["items"] if kind == "array" else schema["values"]]
    return ("", schema, []) if kind in {"enum", "fixed"} or isinstance(kind, str) else ("", kind, [kind])


def _is_recursive(schema: Json, named: Mapping[str, Json], above: frozenset[str]) -> bool:
    name, _, children = _parts(schema, named)
    if isinstance(schema, str):
        return name in above or any(_is_recursive(child, named, above) for child in children)
    inner = above | {name} if name else above
    return any(_is_recursive(child, named, inner) for child in children)


def _has_weightless_items(schema: Json, named: Mapping[str, Json], seen: frozenset[str]) -> bool:
    name, _, children = _parts(schema, named)
    if name and name in seen:
        return False
    inner = seen | {name} if name and not isinstance(schema, str) else seen
    if (
        isinstance(schema, Mapping)
        and schema["type"] == "array"
        and _is_weightless(schema["items"], named, inner)
    ):
        return True
    return any(_has_weightless_items(child, named, inner) for child in children)


def _is_weightless(schema: Json, named: Mapping[str, Json], seen: frozenset[str]) -> bool:
    name, whole, children = _parts(schema, named)
    if whole == "null" or (isinstance(whole, Mapping) and whole["type"] == "null"):
        return True
    if isinstance(whole, Mapping) and whole["type"] == "fixed":
        return bool(whole["size"] == 0)
    if not isinstance(whole, Mapping) or whole["type"] != "record" or name in seen:
        return False
    if isinstance(schema, str):
        return _is_weightless(whole, named, seen)
    return all(_is_weightless(child, named, seen | {name}) for child in children)
