"""Where a partition goes on: at its checkpoint, or as near as can be where the log lacks what it needs.

Pure: what the logs hold and the time come in as data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from schemas.checkpoints import Checkpoint, LastRecord
from streams.worker.alignment import SIDES, Side
from streams.worker.checkpoint_records import Gap

MARGIN_MS = 5 * 60_000  # an event may be this much later than its record's time


@dataclass(frozen=True, slots=True)
class Log:
    """What one input partition holds: offsets ``[first, end)``, and the record time of the first one.

    ``again`` is what it holds now where the checkpoint's last record was; None: that is no longer there.
    """

    topic: str
    first: int
    end: int
    first_ms: int | None  # None: no record
    again: LastRecord | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition begins under a new epoch.

    Reading goes on at ``offsets``, once what lies between them and the low-water offsets of ``checkpoint``,
    which all exist, is read again. Panes that start below
    ``lost_until_ms`` cannot be rebuilt whole. ``found`` are gaps that nobody has been told of, with the
    sentence that tells it; ``gaps`` are all that are not over.
    """

    epoch: int
    checkpoint: Checkpoint
    lost_until_ms: int = 0
    gaps: tuple[Gap, ...] = ()
    found: tuple[tuple[Gap, str], ...] = ()

    @property
    def offsets(self) -> dict[Side, int]:
        return {"inference": self.checkpoint.inference_offset, "labels": self.checkpoint.label_offset}


def first_start(partition: int, offsets: Mapping[Side, int], floor_ms: int) -> Checkpoint:
    """Return the checkpoint of a partition that nobody has worked on: nothing waits, nothing is applied."""
    inference, labels = offsets["inference"], offsets["labels"]
    return Checkpoint(partition, 0, inference, labels, inference, labels, floor_ms)


def resumed(
    checkpoint: Checkpoint,
    gaps: tuple[Gap, ...],
    logs: Mapping[Side, Log],
    now_ms: int,
    width_ms: int,
) -> Start:
    """Return where to go on under an epoch one above the checkpoint's.

    Parameters
    ----------
    checkpoint, gaps
        The newest ones, as stored.
    logs
        What both inputs hold now.
    now_ms
        The time, milliseconds since 1970.
    width_ms
        The width of a pane: ``lost_until_ms`` and the floor are multiples of it.
    """
    epoch = checkpoint.epoch + 1
    found: list[tuple[Gap, str]] = []
    anew: dict[Side, bool] = {}
    for side in SIDES:
        log, low, offset = logs[side], *_offsets(checkpoint, side)
        last = last_record(checkpoint, side)
        other = last is not None and log.again not in (None, last)
        anew[side] = log.end < offset or other
        place = f"{log.topic}[{checkpoint.partition}]"
        holds = f"the log holds {log.first} to {log.end - 1}" if log.first < log.end else "the log is empty"
        if anew[side]:
            whole_ms = _up(now_ms, width_ms)
            found_there = f"expected offset {offset}, {holds}"
            if other and log.again is not None:
                found_there = (
                    f"offset {log.again.offset} holds another record than the one that was read there"
                )
            told = (
                f"{place}: {found_there}: the topic was made anew or lost what was written last. It is read "
                "from its beginning, and what is older than now is left to the cold join; if this was no "
                "intention, look at the brokers' logs and unclean.leader.election.enable"
            )
        elif log.first > low:
            first_ms = log.first_ms if log.first_ms is not None else now_ms
            whole_ms = _up(first_ms + MARGIN_MS, width_ms)
            told = (
                f"{place}: expected offset {low}, {holds}: records expired before they were used. Panes up "
                "to this time stay as they were last sent, and the rest is left to the cold join; raise the "
                "topic's retention.ms above [join] hot_horizon plus the longest outage"
            )
        else:
            continue
        found.append((Gap(log.topic, whole_ms), told))
    new = {gap.topic for gap, _ in found}
    if any(anew.values()):
        checkpoint = _begun_again(checkpoint, logs, anew, _up(now_ms, width_ms))
    return Start(
        epoch=epoch,
        checkpoint=_within(checkpoint, logs),
        lost_until_ms=max((gap.whole_from_ms for gap, _ in found), default=0),
        gaps=(*(gap for gap in gaps if gap.topic not in new), *(gap for gap, _ in found)),
        found=tuple(found),
    )


def last_record(checkpoint: Checkpoint, side: Side) -> LastRecord | None:
    """Return the last record of one input that the checkpoint covers."""
    return checkpoint.inference_last if side == "inference" else checkpoint.label_last


def _offsets(checkpoint: Checkpoint, side: Side) -> tuple[int, int]:
    """Return the low water of one input and its next offset."""
    if side == "inference":
        return checkpoint.inference_low, checkpoint.inference_offset
    return checkpoint.label_low, checkpoint.label_offset


def _begun_again(
    checkpoint: Checkpoint, logs: Mapping[Side, Log], anew: Mapping[Side, bool], floor_ms: int
) -> Checkpoint:
    """Return a checkpoint without anything that waits: its offsets would mean other records now."""
    offsets = {side: logs[side].first if anew[side] else _offsets(checkpoint, side)[1] for side in SIDES}
    begun = first_start(checkpoint.partition, offsets, max(floor_ms, checkpoint.floor_now_ms))
    return replace(
        begun,
        inference_ms=checkpoint.inference_ms,
        labels_ms=checkpoint.labels_ms,
        inference_last=None if anew["inference"] else checkpoint.inference_last,
        label_last=None if anew["labels"] else checkpoint.label_last,
    )


def _within(checkpoint: Checkpoint, logs: Mapping[Side, Log]) -> Checkpoint:
    """Return the checkpoint with no offset below what the logs hold: nobody would ever deliver that."""
    inference, labels = logs["inference"].first, logs["labels"].first
    return replace(
        checkpoint,
        inference_low=max(checkpoint.inference_low, inference),
        inference_offset=max(checkpoint.inference_offset, inference),
        label_low=max(checkpoint.label_low, labels),
        label_offset=max(checkpoint.label_offset, labels),
    )


def _up(time_ms: int, width_ms: int) -> int:
    return -(-time_ms // width_ms) * width_ms
