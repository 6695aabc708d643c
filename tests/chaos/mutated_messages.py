"""Valid messages of every encoding, broken at random: what no worker may stumble over.

    python tests/chaos/mutated_messages.py [--messages 1000000] [--seed 0]

Each batch goes through the worker's decoder and, what is accepted, through the join and the panes. Every
message must come out once, as a row or as a dead letter with a known reason, and memory must stay bounded.
"""

import argparse
import io
import json
import random
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import fastavro
import numpy as np
import psutil

from schemas.contracts import CONTRACTS, OLDER, encode_single_object
from schemas.records import Headers, RawBatch
from schemas.settings import JoinSettings, MonitorSettings
from streams.decode import REASONS, Decoder, RegisteredSchema
from streams.partition import PartitionStage

NOW_MS = 1_763_700_000_000
BATCH = 400
BATCHES_PER_STAGE = 50  # what is accepted stays in its memory
GROWTH_LIMIT_BYTES = 256 << 20  # between a tenth of the messages and all of them
Side = Literal["inference", "labels"]
STRUCTURED: Headers = [("content-type", b"application/cloudevents+json")]
BINARY: Headers = [("content-type", b"application/json"), ("ce_id", b"1"), ("ce_type", b"x")]

EVENT: dict[str, Any] = {
    "prediction_id": "p-17",
    "model": "fraud",
    "model_version": "3",
    "timestamp": NOW_MS,
    "prediction": "yes",
    "scores": {"yes": 0.75, "no": 0.25},
    "features": {"amount": 12.5, "kind": "card", "age": 41, "new": True, "gone": None},
    "segments": {"country": "DE"},
    "status": "ok",
    "latency_ms": 12.25,
    "cost": 0.001,
    "request_id": "r1",
}
NUMBER: dict[str, Any] = EVENT | {
    "prediction": 10.5, "scores": None, "prediction_lower": 9.0, "prediction_upper": 12.0
}  # fmt: skip
LABEL: dict[str, Any] = {
    "prediction_id": "p-17",
    "model": "fraud",
    "label": "no",
    "timestamp": NOW_MS,
    "source": "review",
    "sampling_probability": 0.5,
    "value": -2.5,
}
# What a text may be replaced by: the edges of every rule, and of what parsers trip over.
TOKENS = [
    b"null", b"true", b"-1", b"0", b"1e999", b"-0.0", b"9223372036854775808", b"1e-400", b'""', b'"\\ud800"',
    b"NaN", b"Infinity", b"[]", b"{}", b"[" * 40 + b"]" * 40, b'{"a":' * 40 + b"1" + b"}" * 40, b"\xff\xfe",
    b'"x' + b"x" * 300 + b'"', b"1763700000", b"1763700000000000", b'"2026-01-01T00:00:00Z"', b"\x00", b",,",
]  # fmt: skip
PIECES = [b"\x00", b"\x01", b"\xff" * 10, b"\x80" * 9 + b"\x01", b"\xfe\xff\xff\xff\x0f", b"\xc3\x01"]


class Shelf:
    """A registry that knows our own schemas, a foreign one and one of JSON."""

    def __init__(self) -> None:
        foreign = json.loads(json.dumps(CONTRACTS["InferenceEvent"].definition))
        foreign["fields"].append({"name": "extra", "type": ["null", "string"], "default": None})
        self.foreign = foreign
        self._schemas = {
            1: RegisteredSchema("AVRO", json.dumps(CONTRACTS["InferenceEvent"].definition)),
            2: RegisteredSchema("AVRO", json.dumps(CONTRACTS["LabelEvent"].definition)),
            3: RegisteredSchema("AVRO", json.dumps(foreign)),
            4: RegisteredSchema("JSON", "{}"),
        }

    def by_id(self, schema_id: int) -> RegisteredSchema | None:
        return self._schemas.get(schema_id)

    def by_guid(self, guid: str) -> RegisteredSchema | None:
        return None


def valid_messages(shelf: Shelf) -> dict[Side, list[tuple[bytes, Headers]]]:
    """Return messages of every encoding that the decoder takes, by what they are about."""
    found: dict[Side, list[tuple[bytes, Headers]]] = {}
    for side, name, records in (
        ("inference", "InferenceEvent", (EVENT, NUMBER)),
        ("labels", "LabelEvent", (LABEL, LABEL | {"label": 7})),
    ):
        taken: list[tuple[bytes, Headers]] = []
        for record in records:
            avro = encode_single_object(name, record)
            text = json.dumps(record).encode()
            envelope = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
            schema_id = b"\x00\x00\x00\x00" + (b"\x01" if side == "inference" else b"\x02")
            taken += [
                (avro, ()),
                (text, ()),
                (text, BINARY),
                (json.dumps(envelope | {"data": record}).encode(), STRUCTURED),
                (json.dumps(envelope | {"data_base64": b64encode(avro).decode()}).encode(), STRUCTURED),
                (schema_id + avro[10:], ()),
                (avro[10:], [("__value_schema_id", schema_id)]),
                (b"\x00\x00\x00\x00\x04" + text, ()),
            ]
            for older in OLDER.get(name, ()):
                known = {field.name for field in older.fields}
                sink = io.BytesIO()
                fastavro.schemaless_writer(
                    sink, older.parsed, {k: v for k, v in record.items() if k in known}
                )
                taken.append((older.single_object_prefix + sink.getvalue(), ()))
            if side == "inference":
                sink = io.BytesIO()
                fastavro.schemaless_writer(
                    sink, fastavro.parse_schema(shelf.foreign), record | {"extra": "x"}
                )
                taken.append((b"\x00\x00\x00\x00\x03" + sink.getvalue(), ()))
        found[side] = taken  # type: ignore[index]
    return found


class Mutator:
    """Breaks messages: a few bytes, a piece, a token, their headers, or not at all."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._ways: list[Callable[[bytearray], None]] = [
            self._flip, self._flip, self._cut, self._insert,
            self._repeat, self._token, self._token, self._text,
        ]  # fmt: skip

    def broken(
        self, message: tuple[bytes, Headers], other: tuple[bytes, Headers]
    ) -> tuple[bytes | None, Headers]:
        rng = self._rng
        (value, headers), choice = message, rng.random()
        if choice < 0.005:
            return None, headers
        if choice < 0.01:
            return value * 6_000, headers  # beyond a megabyte
        data = bytearray(value)
        if choice < 0.1:  # its beginning and another's end
            data[rng.randrange(len(data)) :] = other[0][rng.randrange(len(other[0])) :]
        elif choice < 0.95:
            for _ in range(rng.choice([1, 1, 1, 2, 4])):
                rng.choice(self._ways)(data)
        if rng.random() < 0.1:
            headers = rng.choice(
                [other[1], (), [("__value_schema_id", rng.randbytes(rng.choice([0, 5, 17])))]]
            )
        return bytes(data), headers

    def _at(self, data: bytearray) -> int:
        return self._rng.randrange(len(data) + 1)

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)

    def _cut(self, data: bytearray) -> None:
        begin = self._at(data)
        del data[begin : begin + self._rng.choice([1, 2, 8, 10_000])]

    def _insert(self, data: bytearray) -> None:
        at = self._at(data)
        data[at:at] = self._rng.choice(PIECES)

    def _repeat(self, data: bytearray) -> None:
        begin = self._at(data)
        data[begin:begin] = data[begin : begin + self._rng.choice([1, 8, 64])] * self._rng.choice([1, 3, 50])

    def _token(self, data: bytearray) -> None:
        # Between two colons, commas or brackets: in JSON mostly a value.
        begin = data.find(b":", self._at(data)) + 1
        end = min((at for at in (data.find(b",", begin), data.find(b"}", begin)) if at >= 0), default=begin)
        data[begin:end] = self._rng.choice(TOKENS)

    def _text(self, data: bytearray) -> None:
        begin = self._at(data)
        data[begin : begin + 3] = self._rng.choice(["é", "\u2028", "\U0001f600"]).encode()


@dataclass
class Tally:
    """What became of the messages so far."""

    accepted: int = 0
    reasons: Counter[str] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.reasons = Counter()


class Fuzz:
    """Sends broken batches through the decoder and the stage, and holds the counts against each other."""

    def __init__(self, seed: int) -> None:
        shelf = Shelf()
        self.tally = Tally()
        self._rng = random.Random(seed)
        self._mutator = Mutator(seed + 1)
        self._messages = valid_messages(shelf)
        self._decoder = Decoder(shelf)
        self._batches = 0
        self._stage = self._new_stage()

    def batch(self) -> int:
        """Run one batch; AssertionError where a message is lost, doubled or not explained."""
        rng = self._rng
        side: Side = rng.choice(["inference", "labels"])
        own = self._messages[side]
        everyones = own + self._messages["labels" if side == "inference" else "inference"]
        # One encoding in a batch goes another way than a mixture does.
        source = rng.choice(own) if rng.random() < 0.3 else None
        made = [
            self._mutator.broken(source or rng.choice(everyones), rng.choice(everyones)) for _ in range(BATCH)
        ]
        if source is not None:
            made = [one if rng.random() < 0.1 else source for one in made]
        if self._batches % BATCHES_PER_STAGE == 0:
            self._stage = self._new_stage()
        self._batches += 1
        self._check(side, made)
        return len(made)

    def _check(self, side: Side, made: list[tuple[bytes | None, Headers]]) -> None:
        stage, n = self._stage, len(made)
        first = stage.next_inference_offset if side == "inference" else stage.next_label_offset
        headers = [one[1] for one in made] if any(one[1] for one in made) else []
        offsets, times = np.arange(first, first + n), np.full(n, NOW_MS)
        raw = RawBatch(side, 0, offsets, times, [None] * n, [one[0] for one in made], headers)
        counters = stage.counters
        decode = self._decoder.decode_inference if side == "inference" else self._decoder.decode_labels
        decoded = decode(raw)
        rows = decoded.columns.column("offset").to_pylist()
        letters = [letter.offset for letter in decoded.dead_letters]
        assert rows == sorted(rows), "rows out of order"
        assert sorted(rows + letters) == offsets.tolist(), "a message is lost or doubled"
        for letter in decoded.dead_letters:
            reason = letter.reason.partition(":")[0]
            assert reason in REASONS, f"unknown reason: {letter.reason!r}"
            self.tally.reasons[reason] += 1
        self.tally.accepted += len(rows)
        (stage.apply_inference if side == "inference" else stage.apply_labels)(decoded)
        stage.take_changed()
        stage.take_changed_features()
        stage.take_dead_letters()
        now = stage.counters
        read = now.inference_read + now.labels_read - counters.inference_read - counters.labels_read
        assert read == n, f"the stage read {read} of {n}"
        join = now.join
        ends = (
            join.accepted + join.duplicates + now.tests + now.inference_dead_lettered + join.cold_predictions
        )
        assert now.inference_read == ends, "a prediction is nowhere"

    @staticmethod
    def _new_stage() -> PartitionStage:
        return PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings(), ("inference", "labels"))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    fuzz, process, begun_s = Fuzz(args.seed), psutil.Process(), time.monotonic()
    done, early_bytes, most_bytes = 0, 0, 0
    while done < args.messages:
        done += fuzz.batch()
        if not early_bytes and done >= args.messages / 10:
            early_bytes = process.memory_info().rss
        if done % (50 * BATCH) == 0:
            most_bytes = max(most_bytes, process.memory_info().rss)
    grown = max(most_bytes, process.memory_info().rss) - early_bytes
    for reason, n in fuzz.tally.reasons.most_common():
        print(f"{n:>10,}  {reason}")
    rate = done / (time.monotonic() - begun_s)
    print(f"{done:,} messages, {fuzz.tally.accepted:,} accepted, each in one place; {rate:,.0f} a second")
    print(f"memory grew by {grown / 2**20:.0f} MB after the first tenth (limit {GROWTH_LIMIT_BYTES >> 20})")
    print(f"again with: python tests/chaos/mutated_messages.py --messages {args.messages} --seed {args.seed}")
    return 1 if grown > GROWTH_LIMIT_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
