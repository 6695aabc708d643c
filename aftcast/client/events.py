"""From what a Python program has at hand (numpy, pandas, Decimal) to the values of an event, and to bytes."""

import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite, isnan, nan
from numbers import Real
from typing import Any, Literal

import fastavro

from schemas.contracts import CONTRACTS

Encoding = Literal["avro", "json"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63
_PLAIN = frozenset({bool, int, float, str, type(None)})


class EventError(ValueError):
    """An event that the worker would set aside; the text names the field, the rule and what came."""


def plain(value: Any) -> bool | int | float | str | None:
    """Return a scalar as Python's own; what pandas calls missing is NaN.

    Neither numpy nor pandas is imported for it: a service that has none should not pay for them.

    Raises
    ------
    EventError
        If it is no scalar: a list, an array, a date.

    Examples
    --------
    >>> from decimal import Decimal
    >>> plain(Decimal("12.5")), plain(True)
    (12.5, True)
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if type(value) in _PLAIN:
        return value  # type: ignore[no-any-return]
    if type(value).__name__ in ("NAType", "NaTType"):
        return nan
    # What is derived from them, such as the members of an enumeration.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | Real | Decimal):
        return int(value) if isinstance(value, int) else float(value)
    raise EventError(f"expected null, boolean, number or text, got {type(value).__name__}")


def number(value: Any) -> float | None:
    """Return an optional amount; NaN is how pandas says none."""
    if value is None:
        return None
    found = plain(value)
    if isinstance(found, str) or found is None:
        raise EventError(f"expected a number, got {type(value).__name__} {str(value)[:40]!r}")
    return None if isnan(found) else float(found)


def class_text(value: Any) -> str:
    """Return a class, or a segment's value, as the text that the worker knows it by.

    Examples
    --------
    >>> class_text(True), class_text(1.0), class_text("de")
    ('true', '1', 'de')
    """
    found = plain(value)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float) and found.is_integer():
        return str(int(found))
    return str(found)


def given(value: Any) -> bool:
    """Whether a value is neither null nor NaN."""
    found = plain(value)
    return found is not None and not (isinstance(found, float) and isnan(found))


def identifier(value: Any) -> str:
    if value is None:
        raise EventError("$.prediction_id: required, and missing")
    return str(value)


def milliseconds(value: Any) -> int:
    """Return an event time: integer milliseconds since 1970, or a ``datetime`` with a zone."""
    if isinstance(value, datetime) and type(value).__name__ != "NaTType":
        if value.tzinfo is None:
            raise EventError(f"$.timestamp: expected a time with zone, got {value.isoformat()}")
        return (value - _EPOCH) // timedelta(milliseconds=1)
    found = plain(value)
    if isinstance(found, bool) or not isinstance(found, int):
        raise EventError(f"$.timestamp: expected integer milliseconds or a datetime, got {value!r:.40}")
    return found


def features_of(values: Any, leave_out: Callable[[str, str], None] | None) -> dict[str, Any]:
    """Return features by name; ``values`` is a mapping or a pandas row.

    NaN is null, which counts as missing. ``leave_out`` hears of those that are no scalars (name, reason) and
    of infinite ones, which go as null; None: the first of them raises.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        try:
            scalar = plain(value)
        except EventError as error:
            if leave_out is None:
                raise EventError(f"$.features.{name}: {error}") from None
            leave_out(str(name), str(error))
            continue
        if isinstance(scalar, float) and not isfinite(scalar):
            if leave_out is not None and not isnan(scalar):
                leave_out(str(name), f"got {scalar}")
            scalar = None if isnan(scalar) or leave_out is not None else scalar
        elif type(scalar) is int and not -_LARGEST <= scalar < _LARGEST and leave_out is not None:
            scalar = float(scalar)
        found[str(name)] = scalar
    return found


def encode(name: str, record: Mapping[str, Any], encoding: Encoding) -> bytes:
    """Return an event in Avro single-object encoding of the shipped contract ``name``, or as JSON."""
    if encoding == "json":
        return json.dumps(record, separators=(",", ":")).encode()
    contract = CONTRACTS[name]
    sink = io.BytesIO()
    sink.write(contract.single_object_prefix)
    fastavro.schemaless_writer(sink, contract.plain, record)
    return sink.getvalue()
