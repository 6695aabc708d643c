"""A checkpoint's way back: both inputs are read again, and the floor rises at the offsets where it rose."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.checkpoints import Checkpoint, FloorStep
from schemas.records import DeadLetter, DecodedBatch


@dataclass(frozen=True, slots=True)
class Actions:
    """What a stage does while it is restored: applies predictions, applies labels, raises its floor."""

    predictions: Callable[[DecodedBatch], None]
    labels: Callable[[DecodedBatch], None]
    floor: Callable[[int], None]


class _Input:
    """One input: what was read and may not be applied yet."""

    def __init__(self, position: int, apply: Callable[[DecodedBatch], None]) -> None:
        self.position = position
        self.waiting: deque[DecodedBatch] = deque()
        self._apply = apply

    def apply_below(self, offset: int) -> bool:
        """Apply what lies below ``offset``; return whether all of it is applied."""
        while self.waiting:
            batch = self.waiting.popleft()
            below, rest = cut(batch, offset)
            if below is not None:
                self._apply(below)
                self.position = max(self.position, last_offset(below) + 1)
            if rest is not None:
                self.waiting.appendleft(rest)
                return True
        return self.position >= offset


class Restoring:
    """Applies batches of both inputs in whatever order they come, so that the result is that of then.

    Between two rises of the floor the order of predictions and labels does not show; so each input is held
    at the offset of the next rise until the other one is there too.

    Parameters
    ----------
    checkpoint
        Where to go, and from where: where a log begins above the low water, its low water is that.
    actions
        What the stage does.
    lost_until_ms
        Panes that start below it cannot be rebuilt whole.
    """

    def __init__(self, checkpoint: Checkpoint, actions: Actions, lost_until_ms: int = 0) -> None:
        self.checkpoint = checkpoint
        self.lost_until_ms = lost_until_ms
        self._reused = np.array(checkpoint.reused, np.int64)
        self._steps = deque(checkpoint.steps)
        self._end = FloorStep(checkpoint.floor_now_ms, checkpoint.inference_offset, checkpoint.label_offset)
        starts = checkpoint.inference_low, checkpoint.label_low
        self._raise_floor = actions.floor
        self._inputs = (_Input(starts[0], actions.predictions), _Input(starts[1], actions.labels))
        self._begun = sum(starts)
        self._all = max(0, self._end.next_inference_offset - starts[0]) + max(
            0, self._end.next_label_offset - starts[1]
        )

    @property
    def progress(self) -> tuple[int, int]:
        """Offsets that are applied again, and how many there are."""
        return min(self._all, sum(each.position for each in self._inputs) - self._begun), self._all

    def put(self, side: int, batch: DecodedBatch) -> bool:
        """Take in a batch of side 0 (predictions) or 1 (labels); return whether the checkpoint is reached."""
        self._inputs[side].waiting.append(batch)
        return self.go_on()

    def nothing_more(self) -> None:
        """Take note that nothing else lies below the checkpoint: a log may end in what is no record."""
        ends = self._end.next_inference_offset, self._end.next_label_offset
        for each, end in zip(self._inputs, ends, strict=True):
            each.position = max(each.position, end)

    def go_on(self) -> bool:
        """Apply what may be; return whether the checkpoint is reached."""
        while True:
            step = self._steps[0] if self._steps else self._end
            ready = [
                each.apply_below(offset)
                for each, offset in zip(
                    self._inputs, (step.next_inference_offset, step.next_label_offset), strict=True
                )
            ]
            if not all(ready):
                return False
            if not self._steps:
                return True
            self._raise_floor(self._steps.popleft().floor_ms)

    def without_reused(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return predictions without those that were set aside as ``id_reused`` before the checkpoint."""
        if not len(self._reused):
            return columns
        inside = np.isin(columns.column("offset").to_numpy(zero_copy_only=False), self._reused)
        return columns.filter(pa.array(~inside)) if inside.any() else columns

    def rest(self) -> tuple[list[DecodedBatch], list[DecodedBatch]]:
        """Return what was read beyond the checkpoint: predictions and labels."""
        predictions, labels = (list(each.waiting) for each in self._inputs)
        return predictions, labels


def cut(batch: DecodedBatch, offset: int) -> tuple[DecodedBatch | None, DecodedBatch | None]:
    """Return the parts of a batch below ``offset`` and from it on, None where there is nothing."""
    at = int(np.searchsorted(batch.columns.column("offset").to_numpy(zero_copy_only=False), offset))
    below = tuple(letter for letter in batch.dead_letters if letter.offset < offset)
    above = tuple(letter for letter in batch.dead_letters if letter.offset >= offset)
    return _part(batch.columns.slice(0, at), below), _part(batch.columns.slice(at), above)


def _part(columns: pa.RecordBatch, letters: tuple[DeadLetter, ...]) -> DecodedBatch | None:
    return DecodedBatch(columns, letters) if columns.num_rows or letters else None


def last_offset(batch: DecodedBatch) -> int:
    """Return the offset of the last record of a batch that has one, accepted or set aside."""
    last = max((letter.offset for letter in batch.dead_letters), default=-1)
    if batch.columns.num_rows:
        last = max(last, batch.columns.column("offset")[-1].as_py())
    return last
