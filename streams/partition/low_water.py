"""From which offsets on the inputs must be read again to rebuild what waits: kept as events come."""

from collections import deque

from schemas.checkpoints import FloorStep

APART = 1_024  # predictions between two marks: what is read again for nothing is fewer than these
APART_MS = 1_000  # likewise of labels, in record time


class LowWater:
    """Marks of where predictions and labels in memory stand in the inputs.

    A prediction is needed while it waits. A label is needed while its record time is not below the floor,
    since a prediction may still come for it, and while a prediction waits that it met: only labels that came
    before their prediction's own time can be the second without being the first.
    """

    def __init__(self, floor_ms: int) -> None:
        self.floor_ms = floor_ms  # in force at the low-water offsets
        self.steps: deque[FloorStep] = deque()  # since
        self._predictions: deque[tuple[int, int]] = deque()  # sequence number of the first, offset
        self._labels: deque[list[int]] = deque()  # first offset, first and newest record time so far
        self._early: deque[tuple[int, int]] = deque()  # last sequence number, offset of a label; both rise
        self._reused: deque[int] = deque()

    def note_predictions(self, first_seq: int, next_seq: int, first_offset: int) -> None:
        """Mark a batch that took the sequence numbers ``[first_seq, next_seq)``."""
        if first_seq == next_seq:
            return
        if not self._predictions or first_seq - self._predictions[-1][0] >= APART:
            self._predictions.append((first_seq, first_offset))

    def note_early(self, next_seq: int, offset: int) -> None:
        """Mark the lowest label that came before the time of a prediction below ``next_seq``, -1: none."""
        if offset < 0:
            return
        while self._early and self._early[-1][1] >= offset:
            self._early.pop()
        if self._early and next_seq - self._early[-1][0] < APART:
            offset = self._early.pop()[1]
        self._early.append((next_seq - 1, offset))

    def note_labels(self, first_offset: int, newest_ms: int) -> None:
        """Mark a batch of labels whose newest record time is ``newest_ms``."""
        last = self._labels[-1] if self._labels else None
        if last is not None and newest_ms < last[1] + APART_MS:
            last[2] = max(last[2], newest_ms)
        else:
            self._labels.append([first_offset, newest_ms, newest_ms])

    def note_reused(self, offsets: tuple[int, ...]) -> None:
        """Mark predictions that were set aside, as their id was taken."""
        self._reused += offsets

    def note_step(self, step: FloorStep) -> None:
        """Mark a rise of the floor; of several at the same offsets the last one counts."""
        last = self.steps[-1] if self.steps else None
        if (
            last is not None
            and last.next_inference_offset == step.next_inference_offset
            and last.next_label_offset == step.next_label_offset
        ):
            self.steps.pop()
        self.steps.append(step)

    def inference(self, head_seq: int, next_seq: int, next_offset: int) -> int:
        """Return the offset from which on predictions ``[head_seq, next_seq)`` come again."""
        if head_seq == next_seq:
            self._predictions.clear()
            return next_offset
        while len(self._predictions) > 1 and self._predictions[1][0] <= head_seq:
            self._predictions.popleft()
        return self._predictions[0][1]

    def labels(self, floor_ms: int, head_seq: int, next_offset: int) -> int:
        """Return the offset from which on all labels come again that are needed above ``floor_ms``."""
        while self._labels and self._labels[0][2] < floor_ms:
            self._labels.popleft()
        while self._early and self._early[0][0] < head_seq:
            self._early.popleft()
        needed = [next_offset]
        if self._labels:
            needed.append(self._labels[0][0])
        if self._early:
            needed.append(self._early[0][1])
        return min(needed)

    def forget(self, inference_low: int, label_low: int) -> None:
        """Drop steps of the floor and offsets that lie below the low water of both inputs."""
        while (
            self.steps
            and self.steps[0].next_inference_offset <= inference_low
            and self.steps[0].next_label_offset <= label_low
        ):
            self.floor_ms = self.steps.popleft().floor_ms
        while self._reused and self._reused[0] < inference_low:
            self._reused.popleft()

    @property
    def reused(self) -> tuple[int, ...]:
        """Offsets of predictions that were set aside, as their id was taken."""
        return tuple(self._reused)
