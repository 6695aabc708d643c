"""How a partition is doing, for metrics, for the watchdog and for people."""

from dataclasses import dataclass

from streams.partition import StageCounters


@dataclass(frozen=True, slots=True)
class Standing:
    """How a partition is doing.

    ``settled`` is false while its memory is being restored, and nothing is sent onward: ``restored`` are the
    offsets applied again by then, and how many there are in all. ``checkpoint_ms`` is when the last
    checkpoint was committed, milliseconds since 1970, 0 before the first.
    """

    counters: StageCounters
    inference_ms: int
    labels_ms: int
    caught_up: bool
    settled: bool
    pending_records: int
    waiting_predictions: int
    waiting_bytes: int
    pane_bytes: int
    held_by: str
    restored: tuple[int, int] = (0, 0)
    epoch: int = 0
    floor_ms: int = 0
    inference_offset: int = 0
    label_offset: int = 0
    checkpoints: int = 0
    checkpoint_ms: int = 0
    panes: int = 0
