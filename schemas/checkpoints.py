"""What a partition of stage 1 must know to go on exactly where it was: its checkpoint."""

from dataclasses import dataclass

STATE_FORMAT = 1  # of what lies in aftcast-state; a newer one is refused


@dataclass(frozen=True, slots=True)
class FloorStep:
    """One rise of the floor, and the offsets of both inputs at which it happened."""

    floor_ms: int
    next_inference_offset: int
    next_label_offset: int


@dataclass(frozen=True, slots=True)
class LastRecord:
    """The last applied record of an input: where another one is found at its offset, the log is another."""

    offset: int
    time_ms: int
    crc32: int  # of its key and value


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a partition stands; what waits in its memory is read again from the inputs.

    The predictions above the floor make up the panes above the floor, so reading both inputs again from
    ``inference_low`` and ``label_low`` gives both back, with each rise of the floor at the offsets where it
    happened.

    Parameters
    ----------
    inference_offset, label_offset
        Next ones: everything below them is applied.
    inference_low, label_low
        The oldest that are needed to rebuild what waits.
    floor_ms
        The floor in force at the low-water offsets.
    steps
        Its rises since, in order; the last one is the floor at the checkpoint.
    reused
        Offsets of predictions from ``inference_low`` on that were set aside as ``id_reused``: what they
        collided with may lie below.
    inference_ms, labels_ms
        How far both inputs had been read, in record time.
    inference_last, label_last
        The newest records below the next offsets; None: none was applied yet, or an older version wrote this.
    """

    partition: int
    epoch: int
    inference_offset: int
    label_offset: int
    inference_low: int
    label_low: int
    floor_ms: int
    steps: tuple[FloorStep, ...] = ()
    reused: tuple[int, ...] = ()
    inference_ms: int = 0
    labels_ms: int = 0
    inference_last: LastRecord | None = None
    label_last: LastRecord | None = None
    format: int = STATE_FORMAT

    @property
    def floor_now_ms(self) -> int:
        """The floor at the checkpoint."""
        return self.steps[-1].floor_ms if self.steps else self.floor_ms
