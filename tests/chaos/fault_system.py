"""Stage 1 among crashes: owners that claim, restore, apply, send half and die, over a modelled log."""

import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from log_model import FencedError, LogModel, Place

from schemas import messages
from schemas.checkpoints import Checkpoint
from schemas.findings import Progress
from schemas.records import RawBatch
from schemas.settings import JoinSettings, ModelSettings, MonitorSettings, RuleSettings
from streams.decode import Decoder
from streams.partition import PartitionStage

sys.path.append(str(Path(__file__).parents[1] / "laws"))
from stage_oracle import Oracle, rows_of

WIDTH_MS, HORIZON_MS, IMPLICIT_MS = 1_000, 4_000, 2_000
START_MS = 1_780_000_000_000
SIDES = "inference", "labels"
UPDATES: Place = ("pane-updates", 0)
MONITOR = MonitorSettings(
    pane_width_ms=WIDTH_MS,
    maturity_horizon_ms=2 * WIDTH_MS,
    rules=(
        RuleSettings("often-wrong", "accuracy", below=0.6, window_ms=2 * WIDTH_MS, min_labelled=1),
        RuleSettings("few-labels", "coverage", below=0.5, window_ms=WIDTH_MS, min_labelled=0, on="all"),
    ),
    silence_after_ms=5 * WIDTH_MS,
    models={"clicks": ModelSettings(implicit_label="0", implicit_after_ms=IMPLICIT_MS)},
)
JOIN = JoinSettings(hot_horizon_ms=HORIZON_MS)
FIRST_FLOOR_MS = -(10**15)


@dataclass
class Input:
    """One input topic's partition: the values, the fields of those that are good, and their record times."""

    values: list[bytes] = field(default_factory=list)
    documents: list[dict[str, Any] | None] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)

    def put(self, document: dict[str, Any] | None, time_ms: int) -> None:
        self.values.append(b"{broken" if document is None else json.dumps(document).encode())
        self.documents.append(None if document is None else document | {"record_time_ms": time_ms})
        self.times_ms.append(time_ms)

    def raw(self, topic: str, partition: int, first: int, end: int) -> RawBatch:
        n = end - first
        times = np.array(self.times_ms[first:end], np.int64)
        return RawBatch(topic, partition, np.arange(first, end), times, [None] * n, self.values[first:end])


@dataclass(frozen=True, slots=True)
class Step:
    """A rise of the floor that was committed: everything below these offsets was applied before it."""

    floor_ms: int
    inference_offset: int
    label_offset: int


class Partition:
    """One partition of both inputs, what has been committed of it, and how its floor rose meanwhile."""

    def __init__(self, number: int, log: LogModel) -> None:
        self.number, self.log = number, log
        self.inputs = {side: Input() for side in SIDES}
        self.now_ms = START_MS
        self.steps: list[Step] = []
        self.aligned_ms = 0
        self.epochs = 0

    @property
    def name(self) -> str:
        return f"aftcast-state-{self.number}"


class Owner:
    """Who works on a partition: what it has in memory is lost with it.

    ``reached`` are the next offsets to be read.
    """

    def __init__(self, partition: Partition, decoder: Decoder) -> None:
        self.partition, self._decoder = partition, decoder
        self._epoch = partition.log.claim(partition.name)
        last: Checkpoint | None = partition.log.newest(("state", partition.number))
        epoch = 1 if last is None else last.epoch + 1
        self.stage = PartitionStage(partition.number, epoch, FIRST_FLOOR_MS, JOIN, MONITOR, SIDES)
        self.reached = dict.fromkeys(SIDES, 0)
        self._steps: list[Step] = []
        self._aligned_ms = 0
        self._times_ms = 0, 0
        if last is not None:
            self.reached = {"inference": last.inference_low, "labels": last.label_low}
            self.stage.resume_from(last)
        self._floor_ms = self.stage.floor_ms

    @property
    def restoring(self) -> bool:
        return self.stage.restoring

    def apply(self, side: str, most: int) -> None:
        """Take in the next records of one input."""
        data, first = self.partition.inputs[side], self.reached[side]
        end = min(first + most, len(data.values))
        if first == end:
            return
        raw = data.raw(side, self.partition.number, first, end)
        self.reached[side] = end
        restoring = self.restoring
        if side == "inference":
            self.stage.apply_inference(self._decoder.decode_inference(raw))
        else:
            self.stage.apply_labels(self._decoder.decode_labels(raw))
        self._note_floor(known=restoring)

    def advance(self) -> None:
        """Let time pass, as far as both inputs have been read."""
        if self.restoring:
            return
        self._times_ms = self._read_to_ms("inference"), self._read_to_ms("labels")
        self._aligned_ms = max(self._aligned_ms, min(self._times_ms))
        self.stage.advance(*self._times_ms)
        self._note_floor(known=False)

    def send(self, cut: int | None = None) -> bool:
        """Send what changed with its checkpoint; ``cut`` stops after so many messages. False: fenced."""
        partition = self.partition
        if self.restoring:
            return True
        letters = self.stage.take_dead_letters()
        told: list[tuple[Place, Any]] = [(("dead-letters", partition.number), letter) for letter in letters]
        rows = self.stage.take_changed()
        # In pieces, as large ones are split: half of them may be written when somebody dies.
        half = rows.num_rows // 2
        pieces = [rows.slice(0, half), rows.slice(half)] if half else [rows]
        told += [
            (UPDATES, (messages.PANES, messages.encode_panes(piece))) for piece in pieces if piece.num_rows
        ]
        if self._aligned_ms:
            told.append((UPDATES, (messages.PROGRESS, messages.encode(self._progress()))))
        told.append((("state", partition.number), self.stage.checkpoint()))
        try:
            for target, value in told[:cut]:
                partition.log.write(partition.name, self._epoch, target, value)
            if cut is not None:
                return True
            partition.log.commit(partition.name, self._epoch)
        except FencedError:
            return False
        partition.steps += self._steps
        partition.aligned_ms = max(partition.aligned_ms, self._aligned_ms)
        self._steps = []
        return True

    def _progress(self) -> Progress:
        inference_ms, labels_ms = self._times_ms
        return Progress(
            self.partition.number, 1, self.stage.epoch, inference_ms, labels_ms, caught_up=self.caught_up()
        )

    def caught_up(self) -> bool:
        return not self.restoring and all(
            self.reached[side] == len(self.partition.inputs[side].values) for side in SIDES
        )

    def _read_to_ms(self, side: str) -> int:
        data, reached = self.partition.inputs[side], self.reached[side]
        if reached == len(data.values):
            return self.partition.now_ms
        return data.times_ms[reached]

    def _note_floor(self, *, known: bool) -> None:
        if self.stage.floor_ms != self._floor_ms:
            self._floor_ms = self.stage.floor_ms
            if not known:
                self._steps.append(Step(self._floor_ms, self.reached["inference"], self.reached["labels"]))


def expected(partition: Partition) -> Oracle:
    """Count by hand what the inputs give under the floor as it rose."""
    oracle = Oracle(WIDTH_MS, {"clicks": ("0", IMPLICIT_MS)})
    oracle.dead = 0
    read = dict.fromkeys(SIDES, 0)

    def up_to(inference: int, labels: int) -> None:
        takes: tuple[tuple[str, int, Callable[[Any], None]], ...] = (
            ("inference", inference, oracle.predict),
            ("labels", labels, oracle.label),
        )
        for side, end, take in takes:
            for document in partition.inputs[side].documents[read[side] : end]:
                if document is None:
                    oracle.dead += 1
                else:
                    take(document)
            read[side] = max(read[side], end)

    for step in partition.steps:
        up_to(step.inference_offset, step.label_offset)
        oracle.floor_ms = max(oracle.floor_ms, step.floor_ms)
    up_to(*(len(partition.inputs[side].values) for side in SIDES))
    oracle.aligned_ms = partition.aligned_ms
    return oracle


def committed_rows(partition: Partition) -> dict[Any, dict[str, Any]]:
    """Return the newest row of each pane, as a reader of committed data has them."""
    newest: dict[Any, tuple[int, Any]] = {}
    for _, (kind, value) in partition.log.committed(UPDATES):
        if kind != messages.PANES:
            continue
        batch = messages.decode_panes(value)
        names = ["model", "model_version", "segment", "pane_start", "revision"]
        for at, row in enumerate(batch.select(names).to_pylist()):
            key = row["model"], row["model_version"], row["segment"], row["pane_start"]
            if key not in newest or row["revision"] >= newest[key][0]:
                newest[key] = row["revision"], batch.slice(at, 1)
    rows = rows_of([batch for _, batch in newest.values()])
    return {key: row for key, row in rows.items() if row["predictions"] or row["duplicates"]}


class EventMaker:
    """Random events about a few ids around the present, so that everything meets everything."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._named: list[dict[str, Any]] = []

    def prediction(self, now_ms: int) -> dict[str, Any] | None:
        rng = self._rng
        if rng.random() < 0.04:
            return None
        if self._named and rng.random() < 0.1:
            again = dict(rng.choice(self._named))
            if rng.random() < 0.4:
                again["timestamp"] += rng.choice([-1, 1, 700, 3_000])
            return again
        failed = rng.random() < 0.1
        event = {
            "prediction_id": rng.choice("abcdefghijkl") + str(rng.randrange(4)),
            "model": rng.choice(["clicks", "price", "many"]),
            "model_version": rng.choice(["", "2"]),
            "timestamp": now_ms - rng.choice([0, 0, 0, 300, 1_500, 3_500, 6_000]),
            "prediction": None,
            "scores": None,
            "features": {"f": rng.random()},
            "segments": {"x": rng.choice(["1", "2"])} if rng.random() < 0.5 else {},
            "status": "timeout" if failed else "ok",
            "latency_ms": rng.choice([None, 3.5]),
            "cost": rng.choice([None, 0.1]),
            "role": "test" if rng.random() < 0.03 else "primary",
        }
        if not failed:
            said = {"clicks": rng.choice(["0", "1"]), "price": rng.uniform(-5, 5), "many": rng.randrange(4)}
            event["prediction"] = said[event["model"]]
        self._named.append(event)
        return event

    def label(self, now_ms: int) -> dict[str, Any] | None:
        rng = self._rng
        if rng.random() < 0.04:
            return None
        event = rng.choice(self._named) if self._named and rng.random() < 0.9 else None
        model = "many" if event is None else event["model"]
        said = {"clicks": rng.choice(["0", "1"]), "price": rng.uniform(-5, 5), "many": rng.randrange(4)}[
            model
        ]
        if rng.random() < 0.08:
            said = None
        elif rng.random() < 0.04:
            said = "words"
        name = rng.choice("abcdefghijkl") + str(rng.randrange(4)) if event is None else event["prediction_id"]
        return {
            "prediction_id": name,
            "model": rng.choice(["", "", model]),
            "label": said,
            "timestamp": now_ms - rng.choice([0, 0, 500, 4_000]),
            "source": rng.choice(["", "review"]),
            "sampling_probability": rng.choice([None, None, 0.3]),
            "value": rng.choice([None, 1.5]),
        }
