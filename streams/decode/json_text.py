"""JSON values: bytes to a Python object, or the reason why not."""

import json
from typing import Any

import msgspec

from streams.decode.reasons import RejectedError

MAX_DEPTH = 32
# msgspec rather than orjson: it keeps integers of any size, where orjson turns 2**64 into a double.
_parse = msgspec.json.Decoder().decode


def parse(payload: bytes) -> Any:
    """Return what a JSON text says; ``RejectedError`` for text that is broken or nested too deep."""
    try:
        document = _parse(payload)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.MsgspecError, ValueError) as error:
        document = _diagnose(payload, error)
    # Brackets inside strings count too, so only a text with many of them is walked.
    if payload.count(b"{") + payload.count(b"[") > MAX_DEPTH and _depth(document) > MAX_DEPTH:
        raise _too_deep()
    return document


def parse_object(payload: bytes) -> dict[str, Any]:
    """Return the object that a JSON text holds; ``RejectedError`` for any other value."""
    document = parse(payload)
    if type(document) is not dict:
        raise RejectedError("not_an_object", "", f"expected a JSON object, got {str(document)[:40]!r}")
    return document


def _diagnose(payload: bytes, error: Exception) -> Any:
    try:
        text = payload.decode()
    except UnicodeDecodeError as broken:
        raise RejectedError(
            "broken_utf8", "", f"byte 0x{payload[broken.start]:02x} at {broken.start}: {broken.reason}"
        ) from None
    if any(name in text for name in ("NaN", "Infinity", "e", "E")):
        try:
            # The standard library reads NaN, Infinity and 1e999, so that the rules can name the field.
            document = json.loads(text)
        except RecursionError:
            raise _too_deep() from None
        except ValueError:
            pass
        else:
            if not _is_finite(document):
                return document
    raise RejectedError("malformed_json", "", str(error)) from None


def _is_finite(document: Any) -> bool:
    try:
        json.dumps(document, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return True


def _depth(document: Any) -> int:
    depth, level = 0, [document]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            break
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth


def _too_deep() -> RejectedError:
    return RejectedError("too_deep", "", f"objects and lists are nested deeper than {MAX_DEPTH}")
