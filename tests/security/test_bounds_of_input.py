"""Each bound on what comes in: taken at the bound, refused one past it, and listed in the documentation."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.contracts import encode_single_object
from schemas.records import DecodedBatch, RawBatch
from sinks.clickhouse.http_server import BODY_LIMIT_BYTES
from streams.decode import Decoder
from streams.decode.decoder import LONGEST_REASON, SHOWN
from streams.decode.framing import MAX_BYTES
from streams.decode.json_text import MAX_DEPTH
from streams.decode.rules import MAX_FEATURES

NOW_MS = 1_763_700_000_000
EVENT: dict[str, Any] = {"prediction_id": "p", "model": "m", "prediction": 1, "timestamp": NOW_MS}
PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8").split("## Bounds")[1]


def decoded(value: bytes) -> DecodedBatch:
    raw = RawBatch("inference-events", 0, np.arange(1), np.full(1, NOW_MS), [b"p"], [value])
    return Decoder().decode_inference(raw)


def padded(n: int) -> bytes:
    begin = json.dumps(EVENT)[:-1] + ', "more": "'
    return (begin + "x" * (n - len(begin) - 2) + '"}').encode()


def nested(depth: int) -> bytes:
    # The event itself is the first level.
    return (json.dumps(EVENT)[:-1] + ', "more": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}").encode()


def with_features(n: int) -> bytes:
    return json.dumps(EVENT | {"features": {f"f{i}": i for i in range(n)}}).encode()


def in_avro(n: int) -> bytes:
    return encode_single_object("InferenceEvent", EVENT | {"features": {f"f{i}": i for i in range(n)}})


def padded_avro(n: int) -> bytes:
    def text(m: int) -> bytes:
        return encode_single_object("InferenceEvent", EVENT | {"features": {"a": "x" * m}})

    return text(n - (len(text(n)) - n))


def integer(n: int) -> bytes:
    return json.dumps(EVENT | {"features": {"a": n}}).encode()


@pytest.mark.parametrize(
    ("made", "bound", "code", "listed"),
    [
        (padded, MAX_BYTES, "too_large", "1,000,000 bytes"),
        (padded_avro, MAX_BYTES, "too_large", "1,000,000 bytes"),
        (nested, MAX_DEPTH, "too_deep", "| 32 |"),
        (with_features, MAX_FEATURES, "too_many_features", "| 2,000 |"),
        (in_avro, MAX_FEATURES, "too_many_features", "| 2,000 |"),
        (integer, 2**63 - 1, "integer_out_of_range", "64 bits"),
    ],
)
def test_at_the_bound_it_is_taken_and_one_past_it_refused(
    made: Callable[[int], bytes], bound: int, code: str, listed: str
) -> None:
    assert decoded(made(bound)).columns.num_rows == 1
    (letter,) = decoded(made(bound + 1)).dead_letters
    assert letter.reason.startswith(code + ": ")
    assert code in PAGE
    assert listed in PAGE


def test_a_dead_letter_shows_the_beginning_of_what_came_and_no_more() -> None:
    for n, shown in ((SHOWN, "x" * SHOWN), (SHOWN + 1, "x" * (SHOWN - 1) + "…")):
        (letter,) = decoded(b"x" * n).dead_letters
        assert letter.value == shown
    name = "k" * 10 * LONGEST_REASON
    (letter,) = decoded(json.dumps(EVENT | {"scores": {name: 2}}).encode()).dead_letters
    assert len(letter.reason) == LONGEST_REASON
    assert f"{SHOWN} characters, its reason {LONGEST_REASON}" in PAGE


def test_a_statement_for_the_embedded_engine_is_bounded(serve_engine: Callable[..., str]) -> None:
    url = serve_engine(before="h.BODY_LIMIT_BYTES = 1_000")

    def status(n: int) -> int:
        request = urllib.request.Request(url, data=b"SELECT 1".ljust(n))  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert (status(1_000), status(1_001)) == (200, 413)
    assert BODY_LIMIT_BYTES == 1 << 30
    assert "| 1 GB | 413 |" in PAGE
