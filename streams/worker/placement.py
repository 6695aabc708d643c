"""Watches where producers put the keys of one input partition, by a few keys of each second."""

import numpy as np

from schemas.findings import Trouble
from schemas.records import DecodedBatch, RawBatch
from streams.partition import StageCounters
from streams.partitioner import KeySample, Verdict, judge
from streams.worker.alignment import SIDES, Side

PARTITIONER = "partitioner"
KEYS_PER_SEND = 32  # of each topic, about a second: 0.4 ms, whatever the traffic
SENDS_PER_VERDICT = 5
LABELS_TO_COUNT = 100  # before their share that found a prediction means anything


class KeyWatch:
    """Samples keys of both inputs of a partition, and says as troubles what is wrong, or no longer is."""

    def __init__(
        self,
        topics: tuple[str, str],
        partition: int,
        partitions: int,
        *,
        shows_keys: bool = True,
        knows_ids: bool = True,
    ) -> None:
        self._topics = topics
        self._partition = partition
        self._samples: dict[Side, KeySample] = {
            side: KeySample(partition, partitions, shows_keys=shows_keys) for side in SIDES
        }
        self._knows_ids = knows_ids  # not where decoding hides them: a key is never its own hash
        self._left = dict.fromkeys(SIDES, KEYS_PER_SEND)
        self._on = partitions > 1
        self._sends = 0
        self._told: list[Verdict | None] = [None, None]

    def look(self, side: Side, raw: RawBatch, decoded: DecodedBatch) -> None:
        """Sample keys of a batch, spread over it, until this second's share is used up."""
        count = min(self._left[side], len(raw))
        if not count or not self._on:
            return
        self._left[side] -= count
        chosen = np.linspace(0, len(raw) - 1, count).astype(np.int64)
        offsets = decoded.columns.column("offset").to_numpy()
        ids = decoded.columns.column("prediction_id")
        found = np.searchsorted(offsets, raw.offsets[chosen])
        self._samples[side].add(
            [raw.keys[at] for at in chosen],
            [
                ids[row].as_py()
                if self._knows_ids and row < len(offsets) and offsets[row] == raw.offsets[at]
                else None
                for at, row in zip(chosen, found.tolist(), strict=True)
            ],
        )

    def troubles(self, at_ms: int, counters: StageCounters) -> list[Trouble]:
        """Return what changed since the last time; call it with each send, which renews the share of keys."""
        self._left = dict.fromkeys(SIDES, KEYS_PER_SEND)
        self._sends += 1
        if not self._on or self._sends % SENDS_PER_VERDICT:
            return []
        evidence = self._samples["inference"].evidence, self._samples["labels"].evidence
        found = []
        for at, verdict in enumerate(judge(self._topics, evidence, _meeting(counters))):
            before = self._told[at]
            # The first is told even if all is fine: whoever had the partition may have told otherwise.
            if verdict.known and (before is None or bool(before.text) != bool(verdict.text)):
                self._told[at] = verdict
                found.append(self._trouble(self._topics[at], verdict, at_ms))
        return found

    def _trouble(self, topic: str, verdict: Verdict, at_ms: int) -> Trouble:
        fine = f"{topic}: its sampled keys lie where {verdict.partitioner or 'its producers'} put them"
        return Trouble(
            PARTITIONER,
            topic,
            verdict.text or fine,
            at_ms,
            over=not verdict.text,
            source=f"partition {self._partition}",
        )


def _meeting(counters: StageCounters) -> float | None:
    join = counters.join
    met = join.joined + join.replaced
    counted = met + join.waiting
    return met / counted if counted >= LABELS_TO_COUNT else None
