"""Parsed records to columns in one go, where all of them are plainly right by type."""

from collections.abc import Mapping, Sequence
from itertools import chain
from types import NoneType
from typing import Any

import pyarrow as pa

from schemas.columns import SCALAR
from streams.decode.assemble import column
from streams.decode.events import ColumnarEvent
from streams.decode.rules import RULES, FieldRule
from streams.decode.times import read_time

_NUMBERS = {float, int}
_SCALARS = {NoneType, bool, int, float, str}


class NotPlainError(Exception):
    """Some record must be looked at on its own; it need not be wrong."""


def columns_of(event: ColumnarEvent, records: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Return the columns of records of which every value has a type that its field takes.

    Whether the values keep the other rules is for the screening to say. Any exception means that some
    record is not plainly right: ``NotPlainError``, what Arrow raises for integers and texts that do not
    fit, or ``RejectedError`` for a time.
    """
    columns = [
        column(field.type, _plain(rule, field.type, _values(rule, records)))
        for rule, field in zip(RULES[event.name], event.fields, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=event.fields)


def _values(rule: FieldRule, records: Sequence[Mapping[str, Any]]) -> list[Any]:
    name, default = rule.name, rule.default
    if not rule.has_default:
        return [record[name] for record in records]
    values = [record.get(name, default) for record in records]
    if rule.nullable or None not in values:
        return values
    return [default if value is None else value for value in values]


def _plain(rule: FieldRule, kind: pa.DataType, values: list[Any]) -> list[Any]:
    kinds = set(map(type, values))
    if pa.types.is_timestamp(kind):
        # True is an int to Python, but its type is not.
        if kinds <= {int}:
            return values
        return [value if type(value) is int else read_time(rule.name, value) for value in values]
    if rule.nullable:
        kinds.discard(NoneType)
    if pa.types.is_map(kind):
        _demand(kinds, {dict})
        filled = [value for value in values if value]
        _demand(set(map(type, chain.from_iterable(filled))), {str})
        items = set(map(type, chain.from_iterable(value.values() for value in filled)))
        _demand(items, _accepted(kind.item_type))
    else:
        _demand(kinds, _accepted(kind))
    return values


def _accepted(kind: pa.DataType) -> set[type]:
    if kind.equals(SCALAR):
        return _SCALARS
    return _NUMBERS if pa.types.is_floating(kind) else {str}


def _demand(kinds: set[type], accepted: set[type]) -> None:
    if not kinds <= accepted:
        raise NotPlainError(f"{kinds - accepted}")
