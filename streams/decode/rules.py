"""The rules one record must keep, field by field; the screening of whole batches must agree with them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from schemas.contracts import INFERENCE, LABEL, LIFECYCLE, Contract, Json
from streams.decode.reasons import RejectedError
from streams.decode.times import check_time, read_time

MAX_FEATURES = 2_000
INT64 = range(-(2**63), 2**63)

Reader = Callable[[str, Any], Any]
_TYPE_NAMES = {
    type(None): "null", bool: "boolean", int: "integer", float: "double", str: "string",
    dict: "object", list: "list", bytes: "bytes",
}  # fmt: skip
_MISSING: Final = object()


def rejected(code: str, path: str, detail: str) -> RejectedError:
    return RejectedError(code, path.split(".", 1)[0], f"$.{path}: {detail}")


def wrong_type(path: str, expected: str, value: object) -> RejectedError:
    came = _TYPE_NAMES.get(type(value), type(value).__name__)
    shown = "" if value is None or isinstance(value, dict | list) else f" {str(value)[:40]!r}"
    return rejected("wrong_type", path, f"expected {expected}, got {came}{shown}")


def text(path: str, value: Any) -> str:
    if type(value) is not str:
        raise wrong_type(path, "string", value)
    return value if value.isascii() else writable(path, value)


def writable(path: str, value: str) -> str:
    """Return a text that UTF-8 can write; Python's own can hold halves of surrogate pairs."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise rejected("broken_utf8", path, f"character {error.start}: {error.reason}") from None
    return value


def filled_text(path: str, value: Any) -> str:
    if not text(path, value):
        raise rejected("empty_field", path, "must not be empty")
    return str(value)


def number(path: str, value: Any) -> float:
    if type(value) is int:
        # JSON has no doubles of its own: 12 and 12.0 are the same latency.
        if value not in INT64:
            raise rejected("integer_out_of_range", path, f"{str(value)[:40]} does not fit into 64 bits")
        return float(value)
    if type(value) is not float:
        raise wrong_type(path, "double", value)
    if not isfinite(value):
        raise rejected("not_finite", path, f"got {value}")
    return value


def amount(path: str, value: Any) -> float:
    if (amount := number(path, value)) < 0:
        raise rejected("negative", path, f"must be 0 or more, got {amount}")
    return amount


def score(path: str, value: Any) -> float:
    if not 0 <= (score := number(path, value)) <= 1:
        raise rejected("score_out_of_range", path, f"must be in [0, 1], got {score}")
    return score


def sampling_probability(path: str, value: Any) -> float:
    if not 0 < (share := number(path, value)) <= 1:
        raise rejected("sampling_probability_out_of_range", path, f"must be in (0, 1], got {share}")
    return share


def scalar(path: str, value: Any) -> Any:
    kind = type(value)
    if kind is float:
        if not isfinite(value):
            raise rejected("not_finite", path, f"got {value}")
    elif kind is int:
        if value not in INT64:
            raise rejected("integer_out_of_range", path, f"{str(value)[:40]} does not fit into 64 bits")
    elif kind is str:
        return text(path, value)
    elif kind is not bool and value is not None:
        raise wrong_type(path, "null, boolean, long, double or string", value)
    return value


def map_of(read: Reader, quick: Callable[[Any], bool], most: int | None = None) -> Reader:
    """Return the reader of a map of which ``read`` reads the values.

    ``quick`` tells at little cost that a value is surely right as it stands: most maps need no more, and
    the path of an entry is worth spelling out only for one that is wrong.
    """

    def read_map(path: str, value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise wrong_type(path, "object", value)
        if most is not None and len(value) > most:
            raise rejected("too_many_features", path, f"at most {most} are allowed, got {len(value)}")
        if all(map(_plain_text, value)) and all(map(quick, value.values())):
            return value
        return {text(f"{path} key", k): read(f"{path}.{k}", v) for k, v in value.items()}

    return read_map


def _plain_text(value: Any) -> bool:
    return type(value) is str and value.isascii()


def _plain_score(value: Any) -> bool:
    return type(value) is float and 0 <= value <= 1


def _plain_scalar(value: Any) -> bool:
    kind = type(value)
    if kind is float:
        return isfinite(value)
    if kind is int:
        return value in INT64
    return _plain_text(value) or kind is bool or value is None


# Where a field has a rule beyond its type.
_SPECIAL: Mapping[str, Reader] = {
    "InferenceEvent.prediction_id": filled_text,
    "InferenceEvent.model": filled_text,
    "InferenceEvent.latency_ms": amount,
    "InferenceEvent.cost": amount,
    "InferenceEvent.scores": map_of(score, _plain_score),
    "InferenceEvent.features": map_of(scalar, _plain_scalar, MAX_FEATURES),
    "LabelEvent.prediction_id": filled_text,
    "LabelEvent.sampling_probability": sampling_probability,
    "LifecycleEvent.model": filled_text,
    "LifecycleEvent.kind": filled_text,
}


def _reader(contract: Contract, name: str, declared: Json) -> Reader:
    if special := _SPECIAL.get(f"{contract.name}.{name}"):
        return special
    match declared:
        case "string" | ["null", "string"]:
            return text
        case ["null", "double"]:
            return number
        case ["null", "boolean", "long", "double", "string"]:
            return scalar
        case {"logicalType": "timestamp-millis"}:
            return read_time
        case {"type": "map", "values": "string"}:
            return map_of(text, _plain_text)
    raise NotImplementedError(f"{contract.name}.{name}: no rule for the type {declared}")


@dataclass(frozen=True, slots=True)
class FieldRule:
    """How one field is read: by ``read``, unless it is missing or null."""

    name: str
    read: Reader
    nullable: bool
    has_default: bool
    default: Any


RULES: Final[Mapping[str, tuple[FieldRule, ...]]] = {
    contract.name: tuple(
        FieldRule(f.name, _reader(contract, f.name, f.type), f.nullable, f.has_default, f.default)
        for f in contract.fields
    )
    for contract in (INFERENCE, LABEL, LIFECYCLE)
}


def check(event: str, record: Mapping[str, Any], latest_ms: int) -> dict[str, Any]:
    """Return the record with exactly the contract's fields and types, times in milliseconds.

    Parameters
    ----------
    event
        The contract's name, such as "LabelEvent".
    record
        Field names to values; other names are ignored.
    latest_ms
        The last event time that is believed.

    Raises
    ------
    RejectedError
        For the first rule that is broken, in the order of the contract's fields.
    """
    clean: dict[str, Any] = {}
    for rule in RULES[event]:
        name = rule.name
        value = record.get(name, _MISSING)
        if value is _MISSING:
            if not rule.has_default:
                raise rejected("missing_field", name, "required, and missing")
            clean[name] = rule.default
        elif value is not None:
            clean[name] = rule.read(name, value)
        elif rule.nullable or rule.has_default:
            clean[name] = rule.default
        else:
            clean[name] = rule.read(name, value)
    check_time(clean["timestamp"], latest_ms)
    if event == "InferenceEvent":
        if clean["prediction"] is None and clean["status"] == "ok":
            raise rejected("prediction_missing", "prediction", 'null although status is "ok"')
        _check_bounds(clean)
    return clean


def _check_bounds(clean: Mapping[str, Any]) -> None:
    lower, upper = clean["prediction_lower"], clean["prediction_upper"]
    if lower is None and upper is None:
        return
    if lower is None or upper is None:
        missing = "prediction_lower" if lower is None else "prediction_upper"
        raise rejected("bounds_incomplete", missing, "null although the other bound is given")
    if type(clean["prediction"]) not in (int, float):
        came = _TYPE_NAMES[type(clean["prediction"])]
        raise rejected("bounds_without_number", "prediction_lower", f"the prediction is {came}")
    if lower > upper:
        raise rejected("bounds_reversed", "prediction_lower", f"got {lower}, above {upper}")
