"""What a partition of pane-updates must know to watch on exactly where it was: its position."""

from dataclasses import dataclass

from schemas.checkpoints import LastRecord
from schemas.findings import AlertEvent

JOURNAL_FORMAT = 1  # of what lies in aftcast-journal


@dataclass(frozen=True, slots=True)
class Position:
    """How far a monitor has told what it found, and how to get there again.

    A monitor is a function of its messages and of the offsets at which it was asked what follows from them,
    its cuts. So a snapshot, the messages since, and the cuts since give it back.

    Parameters
    ----------
    offset
        The next one: everything below it is taken in, asked for and told.
    snapshot_offset
        The next one at the snapshot; where there is none, the first that was ever taken in.
    cuts
        Next offsets at which it was asked since, ascending; the last one is ``offset``, unless there is none.
    parts, digest
        How many records the snapshot lies in, 0 for none, and the SHA-256 of their contents in order.
    fingerprint
        Of format, code and settings: another monitor would find something else in the same messages.
    firing
        The alerts that fire, as their firing was told, less the evidence.
    last
        A record of pane-updates that was taken in: where its offset holds another one, the log is another.
    """

    offset: int
    snapshot_offset: int
    cuts: tuple[int, ...] = ()
    parts: int = 0
    digest: str = ""
    fingerprint: str = ""
    firing: tuple[AlertEvent, ...] = ()
    format: int = JOURNAL_FORMAT
    last: LastRecord | None = None
