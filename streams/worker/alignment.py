"""Both topics of one partition, read side by side in Kafka time: in a backlog no label seems missing.

Pure: time, and whether a topic is caught up, come in as data.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from schemas.records import RawBatch

Side = Literal["inference", "labels"]
SIDES: tuple[Side, Side] = ("inference", "labels")
PIECE_RECORDS = 5_000  # at 10 µs a record, the slow path of decoding, half of the 100 ms that a step may take
Token = TypeVar("Token")


@dataclass(frozen=True, slots=True)
class Piece(Generic[Token]):
    """A part of a fetched batch; the last part of it carries its token."""

    side: Side
    batch: RawBatch
    token: Token | None


@dataclass(slots=True)
class _Topic(Generic[Token]):
    pieces: deque[Piece[Token]] = field(default_factory=deque)
    next_offset: int = 0
    taken_ms: int = -1  # record time of the newest record taken
    progress_ms: int = 0

    @property
    def head_ms(self) -> int:
        return int(self.pieces[0].batch.record_times_ms[0])


class AlignedReader(Generic[Token]):
    """Decides which of two topics to read next, and tells how far both are.

    The topic whose next record is older goes first. A topic without anything fetched is waited for unless it
    is caught up, so that neither waits for ever. What comes out is progress in record time that never goes
    back and never passes the tick, whatever a producer's clock wrote into its records.
    """

    def __init__(self) -> None:
        self._topics: dict[Side, _Topic[Token]] = {side: _Topic() for side in SIDES}

    def put(self, side: Side, batch: RawBatch, token: Token) -> None:
        starts = range(0, len(batch), PIECE_RECORDS)
        self._topics[side].pieces.extend(
            Piece(side, _slice(batch, at), token if at == starts[-1] else None) for at in starts
        )

    def take(self, caught_up: dict[Side, bool]) -> Piece[Token] | None:
        """Return the next piece to apply, None while there is none or the other topic must be waited for."""
        filled = [side for side in SIDES if self._topics[side].pieces]
        if not filled:
            return None
        side = min(filled, key=lambda side: self._topics[side].head_ms)
        if len(filled) == 1 and not caught_up[_other(side)]:
            return None
        topic = self._topics[side]
        piece = topic.pieces.popleft()
        topic.taken_ms = max(topic.taken_ms, int(piece.batch.record_times_ms.max()))
        topic.next_offset = int(piece.batch.offsets[-1]) + 1
        return piece

    def progress(self, tick_ms: int, caught_up: dict[Side, bool]) -> tuple[int, int, bool]:
        """Return how far inference and labels are, and whether both are caught up with nothing pending.

        Call it when everything taken is applied. The newest millisecond taken may have more records to come,
        so it is not counted as read before the topic is caught up.
        """
        idle = {side: caught_up[side] and not self._topics[side].pieces for side in SIDES}
        for side, topic in self._topics.items():
            reached_ms = tick_ms if idle[side] else min(topic.taken_ms - 1, tick_ms)
            topic.progress_ms = max(topic.progress_ms, reached_ms)
        inference, labels = (self._topics[side].progress_ms for side in SIDES)
        return inference, labels, all(idle.values())

    def next_offset(self, side: Side) -> int:
        """Return the offset behind the last record taken."""
        return self._topics[side].next_offset

    def start_at(self, side: Side, offset: int) -> None:
        """Forget what is pending: reading goes on at ``offset``."""
        self._topics[side].pieces.clear()
        self._topics[side].next_offset = offset

    def progress_at_least(self, inference_ms: int, labels_ms: int) -> None:
        """Set what has been told of progress before: it never goes back."""
        for side, reached_ms in zip(SIDES, (inference_ms, labels_ms), strict=True):
            self._topics[side].progress_ms = max(self._topics[side].progress_ms, reached_ms)

    @property
    def pending_records(self) -> int:
        return sum(len(piece.batch) for topic in self._topics.values() for piece in topic.pieces)


def _other(side: Side) -> Side:
    return "labels" if side == "inference" else "inference"


def _slice(batch: RawBatch, at: int) -> RawBatch:
    if len(batch) <= PIECE_RECORDS:
        return batch
    part = slice(at, at + PIECE_RECORDS)
    return RawBatch(
        batch.topic,
        batch.partition,
        batch.offsets[part],
        batch.record_times_ms[part],
        batch.keys[part],
        batch.values[part],
        batch.headers[part],
    )
