"""One value that is framed otherwise, wherever it stands in a long batch, is the only one set aside."""

import numpy as np
import pytest

from schemas.contracts import INFERENCE, LABEL, encode_single_object
from schemas.records import RawBatch
from streams.decode import Decoder
from streams.decode.framing import MAX_BYTES
from streams.decode.whole import AT_ONCE

NOW_MS = 1_763_700_000_000
PREFIX = LABEL.single_object_prefix
WHOLE = encode_single_object("LabelEvent", {"prediction_id": "odd", "label": "yes", "timestamp": NOW_MS})
ODD = {
    "null": (None, "empty_value"),
    "empty": (b"", "empty_value"),
    "below": (b"\x01", "malformed_json"),
    "above": (b"\xff", "broken_utf8"),
    "cut": (PREFIX[:9], "malformed_avro"),
    "other event": (INFERENCE.single_object_prefix + b"\x00", "wrong_event"),
    # The same number as the mark, written with a byte too many.
    "long mark": (b"\xc3\x81\x00" + PREFIX[2:] + b"\x02a", "broken_utf8"),
    "long mark before a whole event": (b"\xc3\x81\x00" + WHOLE[2:], "broken_utf8"),
    "greater fingerprint before a whole event": (PREFIX[:9] + b"\xff" + WHOLE[10:], "unknown_fingerprint"),
    "smaller fingerprint before a whole event": (PREFIX[:9] + b"\x00" + WHOLE[10:], "unknown_fingerprint"),
}


def good(i: int) -> bytes:
    label = {"prediction_id": f"{i:04d}", "label": "yes", "timestamp": NOW_MS}
    return encode_single_object("LabelEvent", label)


def batch_with(value: bytes | None, at: int) -> RawBatch:
    values: list[bytes | None] = [good(i) for i in range(AT_ONCE + 1)]
    values[at] = value
    n = len(values)
    return RawBatch("label-events", 0, np.arange(n), np.full(n, NOW_MS), [None] * n, values)


@pytest.mark.parametrize("at", [0, AT_ONCE // 2, AT_ONCE])
@pytest.mark.parametrize("odd", ODD)
def test_a_value_framed_otherwise_is_set_aside_and_no_other_is(odd: str, at: int) -> None:
    value, code = ODD[odd]
    decoded = Decoder().decode_labels(batch_with(value, at))
    assert [letter.offset for letter in decoded.dead_letters] == [at]
    assert decoded.dead_letters[0].reason.startswith(code)
    assert decoded.columns.num_rows == AT_ONCE


@pytest.mark.parametrize("at", [0, AT_ONCE])
def test_a_value_of_the_most_bytes_is_read_and_one_byte_more_is_not(at: int) -> None:
    most = good(0) + b"\x00" * (MAX_BYTES - len(good(0)))
    assert Decoder().decode_labels(batch_with(most, at)).dead_letters == ()
    (letter,) = Decoder().decode_labels(batch_with(most + b"\x00", at)).dead_letters
    assert letter.offset == at
    assert letter.reason.startswith("too_large")
