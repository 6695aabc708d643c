"""Checkpoints as records of ``aftcast-state``: a small one each time, the floor's steps when they changed."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from schemas.checkpoints import STATE_FORMAT, Checkpoint, FloorStep, LastRecord
from schemas.records import IntArray
from streams.worker.errors import StateError, StateFormatError
from streams.worker.outgoing import MESSAGE_LIMIT
from streams.worker.sending import Outgoing

CHECKPOINT_KEY = b"checkpoint"
FLOORS_KEY = b"floors"
FLOORS_AGAIN = 300  # checkpoints; so that a look at the last 2,000 offsets finds both, marks included


@dataclass(frozen=True, slots=True)
class Gap:
    """Records of an input that were needed and are no longer there; what starts from a time on is whole."""

    topic: str
    whole_from_ms: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What a partition of the state holds: the newest checkpoint, and gaps that are not over."""

    checkpoint: Checkpoint
    gaps: tuple[Gap, ...] = ()


class _Light(msgspec.Struct, frozen=True):
    format: int
    partition: int
    epoch: int
    inference_offset: int
    label_offset: int
    inference_low: int
    label_low: int
    inference_ms: int
    labels_ms: int
    floor_now_ms: int  # for people; the steps have it too
    floors: str  # name of the steps that belong to it
    floors_parts: int
    gaps: tuple[Gap, ...] = ()
    inference_last: LastRecord | None = None
    label_last: LastRecord | None = None


class CheckpointRecords:
    """Turns the checkpoints of one partition into messages; all of one call belong into one transaction."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._floors: object = None
        self._name, self._parts = "", 0
        self._written = self._until_again = 0

    def messages(self, checkpoint: Checkpoint, gaps: Sequence[Gap] = ()) -> list[Outgoing]:
        """Return the messages that ``stored`` understands."""
        told: list[tuple[bytes, bytes]] = []
        floors = (checkpoint.epoch, checkpoint.floor_ms, checkpoint.steps, checkpoint.reused)
        self._until_again -= 1
        if floors != self._floors or self._until_again <= 0:
            self._floors, self._until_again = floors, FLOORS_AGAIN
            self._written += 1
            self._name = f"{checkpoint.epoch}-{self._written}"  # nobody else writes under this epoch
            packed = _packed(checkpoint)
            parts = [packed[at : at + MESSAGE_LIMIT] for at in range(0, len(packed), MESSAGE_LIMIT)]
            self._parts = len(parts)
            told += [
                (_part_key(number), self._name.encode() + b"\n" + part) for number, part in enumerate(parts)
            ]
        light = _Light(
            checkpoint.format, checkpoint.partition, checkpoint.epoch, checkpoint.inference_offset,
            checkpoint.label_offset, checkpoint.inference_low, checkpoint.label_low, checkpoint.inference_ms,
            checkpoint.labels_ms, checkpoint.floor_now_ms, self._name, self._parts, tuple(gaps),
            checkpoint.inference_last, checkpoint.label_last,
        )  # fmt: skip
        told.append((CHECKPOINT_KEY, msgspec.json.encode(light)))
        return [Outgoing(self._topic, value, key, partition=checkpoint.partition) for key, value in told]


def is_whole(found: Mapping[bytes, bytes]) -> bool:
    """Tell whether the newest records found are a checkpoint with all that belongs to it."""
    if CHECKPOINT_KEY not in found:
        return False
    light = json.loads(found[CHECKPOINT_KEY])
    return light["format"] > STATE_FORMAT or all(
        _part_key(number) in found for number in range(light["floors_parts"])
    )


def stored(found: Mapping[bytes, bytes], place: str) -> Stored | None:
    """Return what the newest records of a state partition say, None where there never was a checkpoint.

    Parameters
    ----------
    found
        The newest committed value by key, as ``read_newest`` returns them.
    place
        Topic and partition, for errors.

    Raises
    ------
    StateFormatError
        If a newer version wrote it.
    StateError
        If records that belong together are not all there.
    """
    if CHECKPOINT_KEY not in found:
        return None
    version = json.loads(found[CHECKPOINT_KEY])["format"]
    if version > STATE_FORMAT:
        raise StateFormatError(
            f"{place}: the checkpoint has format {version}, and this version of aftcast reads formats up to "
            f"{STATE_FORMAT}; start the version that wrote it, or a newer one"
        )
    light = msgspec.json.decode(found[CHECKPOINT_KEY], type=_Light)
    packed = b""
    for number in range(light.floors_parts):
        name, _, part = found.get(_part_key(number), b"").partition(b"\n")
        if name.decode() != light.floors:
            raise StateError(
                f"{place}: record {_part_key(number).decode()!r} is of {name.decode() or 'nobody'}, the "
                f"checkpoint needs that of {light.floors}; the topic was changed by others, or its "
                "cleanup.policy is not compact"
            )
        packed += part
    floor_ms, steps, reused = _unpacked(packed)
    checkpoint = Checkpoint(
        light.partition, light.epoch, light.inference_offset, light.label_offset, light.inference_low,
        light.label_low, floor_ms, steps, reused, light.inference_ms, light.labels_ms,
        light.inference_last, light.label_last, light.format,
    )  # fmt: skip
    return Stored(checkpoint, light.gaps)


def _part_key(number: int) -> bytes:
    return FLOORS_KEY if not number else FLOORS_KEY + b"-%d" % number


def _packed(checkpoint: Checkpoint) -> bytes:
    steps = checkpoint.steps
    lists = (
        [step.floor_ms for step in steps],
        [step.next_inference_offset for step in steps],
        [step.next_label_offset for step in steps],
        checkpoint.reused,
    )
    # Differences are small numbers that compress: one step a minute is some 10 bytes.
    differences: list[IntArray] = [
        np.asarray(np.diff(np.array(each, np.int64), prepend=0), np.int64) for each in lists
    ]
    numbers = np.concatenate([np.array([checkpoint.floor_ms, len(steps)], np.int64), *differences])
    return zlib.compress(numbers.astype("<i8").tobytes())


def _unpacked(packed: bytes) -> tuple[int, tuple[FloorStep, ...], tuple[int, ...]]:
    numbers = np.frombuffer(zlib.decompress(packed), "<i8")
    floor_ms, n_steps = (int(number) for number in numbers[:2])
    columns: list[IntArray] = [
        np.cumsum(column) for column in numbers[2 : 2 + 3 * n_steps].reshape(3, n_steps)
    ]
    steps = tuple(FloorStep(*row) for row in zip(*(column.tolist() for column in columns), strict=True))
    return floor_ms, steps, tuple(np.cumsum(numbers[2 + 3 * n_steps :]).tolist())
