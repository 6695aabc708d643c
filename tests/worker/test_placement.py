"""A partition that is handed keys of producers that do not agree tells it once, and when they do again."""

import json
from collections.abc import Callable

import numpy as np

from schemas.findings import Trouble
from schemas.records import RawBatch
from schemas.settings import JoinSettings, MonitorSettings
from streams.decode import Decoder
from streams.partition import PartitionStage
from streams.partitioner import place
from streams.partitioner.sample import KEPT
from streams.worker.alignment import Side
from streams.worker.placement import KEYS_PER_SEND, SENDS_PER_VERDICT, KeyWatch

TOPICS = ("inference-events", "label-events")
NOW_MS = 1_800_000_000_000


def keys_of(by: str, count: int, begin: int = 0) -> list[str]:
    """Return ids that a hash puts on partition 1 of 3."""
    found: list[str] = []
    number = begin
    while len(found) < count:
        if place(by, f"p{number}".encode(), 3) == 1:
            found.append(f"p{number}")
        number += 1
    return found


class Watched:
    """A partition 1 of 3, fed batches of one topic at a time."""

    def __init__(self) -> None:
        self.watch = KeyWatch(TOPICS, 1, 3)
        self.stage = PartitionStage(1, 1, 0, JoinSettings(), MonitorSettings(), TOPICS)
        self.decoder = Decoder()
        self.looked = 0

    def feed(self, side: Side, ids: list[str], key: Callable[[str], bytes | None] = str.encode) -> None:
        if side == "inference":
            values = [
                {"prediction_id": one, "model": "m", "timestamp": NOW_MS, "prediction": 1} for one in ids
            ]
        else:
            values = [{"prediction_id": one, "label": 1, "timestamp": NOW_MS} for one in ids]
        count = len(ids)
        raw = RawBatch(
            TOPICS[side == "labels"], 1, np.arange(count), np.full(count, NOW_MS),
            [key(one) for one in ids], [json.dumps(value).encode() for value in values],
        )  # fmt: skip
        decode = self.decoder.decode_inference if side == "inference" else self.decoder.decode_labels
        self.watch.look(side, raw, decode(raw))

    def tell(self) -> list[Trouble]:
        return [
            one
            for second in range(SENDS_PER_VERDICT)
            for one in self.watch.troubles(NOW_MS + second, self.stage.counters)
        ]


def test_labels_placed_by_another_hash_are_told_once_and_over_when_they_agree() -> None:
    one = Watched()
    one.feed("inference", keys_of("murmur2", KEYS_PER_SEND))
    one.feed("labels", keys_of("CRC32", KEYS_PER_SEND))
    told = {trouble.subject: trouble for trouble in one.tell()}
    assert told["inference-events"].over
    wrong = told["label-events"]
    assert (wrong.kind, wrong.over, wrong.source) == ("partitioner", False, "partition 1")
    assert "partitioner=murmur2_random" in wrong.summary
    assert one.tell() == []
    repaired = keys_of("murmur2", KEPT, 10_000)
    for at in range(0, KEPT, KEYS_PER_SEND):
        one.feed("labels", repaired[at : at + KEYS_PER_SEND])
        if over := one.tell():
            break
    assert [(trouble.subject, trouble.over) for trouble in over] == [("label-events", True)]


def test_a_large_batch_costs_no_more_than_this_seconds_share() -> None:
    one = Watched()
    one.feed("inference", keys_of("murmur2", 500))
    one.feed("inference", keys_of("CRC32", 500, 5_000))  # none of these is looked at
    evidence = one.watch._samples["inference"].evidence
    assert (evidence.keys, evidence.fits[0], evidence.are_ids) == (KEYS_PER_SEND, KEYS_PER_SEND, 32)


def test_without_labels_nothing_is_known_of_them_and_nothing_told() -> None:
    one = Watched()
    one.feed("inference", keys_of("CRC32", KEYS_PER_SEND))
    assert [(trouble.subject, trouble.over) for trouble in one.tell()] == [("inference-events", True)]


def test_a_record_that_cannot_be_read_still_shows_its_key() -> None:
    one = Watched()
    ids = keys_of("murmur2", 30)
    raw = RawBatch(TOPICS[0], 1, np.arange(30), np.full(30, NOW_MS), [i.encode() for i in ids], [b"{"] * 30)
    one.watch.look("inference", raw, one.decoder.decode_inference(raw))
    evidence = one.watch._samples["inference"].evidence
    assert (evidence.keys, evidence.ids_known) == (30, 0)
