"""Checkpoints as records: what is read back is what was written, and it stays small."""

import itertools
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.checkpoints import STATE_FORMAT, Checkpoint, FloorStep, LastRecord
from streams.worker.checkpoint_records import (
    CHECKPOINT_KEY,
    CheckpointRecords,
    Gap,
    Stored,
    is_whole,
    stored,
)
from streams.worker.errors import StateError, StateFormatError
from streams.worker.outgoing import MESSAGE_LIMIT

OFFSETS = st.integers(0, 1 << 50)
TIMES = st.integers(0, 1 << 42)
LAST = st.none() | st.builds(LastRecord, OFFSETS, TIMES, st.integers(0, (1 << 32) - 1))
CHECKPOINTS = st.builds(
    Checkpoint,
    partition=st.integers(0, 10_000),
    epoch=st.integers(1, 1 << 19),
    inference_offset=OFFSETS,
    label_offset=OFFSETS,
    inference_low=OFFSETS,
    label_low=OFFSETS,
    floor_ms=TIMES,
    steps=st.lists(st.builds(FloorStep, TIMES, OFFSETS, OFFSETS), max_size=20).map(tuple),
    reused=st.lists(OFFSETS, max_size=20).map(tuple),
    inference_ms=TIMES,
    labels_ms=TIMES,
    inference_last=LAST,
    label_last=LAST,
)
GAPS = st.lists(st.builds(Gap, st.text(max_size=20), TIMES), max_size=3).map(tuple)


@given(st.lists(st.tuples(CHECKPOINTS, GAPS), min_size=1, max_size=4))
def test_the_newest_records_give_back_the_last_checkpoint_whatever_came_before(told: list) -> None:  # type: ignore[type-arg]
    records, found = CheckpointRecords("aftcast-state"), {}
    for checkpoint, gaps in told:
        for message in records.messages(checkpoint, gaps):
            assert message.partition == checkpoint.partition
            found[message.key or b""] = message.value
    assert is_whole(found)
    assert stored(found, "aftcast-state[0]") == Stored(*told[-1])


def minutes(count: int) -> Checkpoint:
    """Return a checkpoint of a day at 1,000 events/s with a floor step a minute."""
    steps = tuple(
        FloorStep(
            1_800_000_000_000 + 60_000 * i, 86_400_000 + 30_000 * i + i % 977, 10**8 + 29_000 * i + i % 313
        )
        for i in range(count)
    )
    return Checkpoint(0, 3, 10**9, 10**9, 86_400_000, 10**8, 1_799_999_940_000, steps)


def test_a_day_of_floor_steps_is_a_small_record_and_only_written_when_it_changed() -> None:
    records = CheckpointRecords("aftcast-state")
    checkpoint = minutes(1_440)
    floors, light = records.messages(checkpoint)
    assert (floors.key, light.key) == (b"floors", b"checkpoint")
    assert len(floors.value) < 20_000  # 1,440 steps of three numbers
    assert len(light.value) < 400
    assert [m.key for m in records.messages(checkpoint)] == [b"checkpoint"]
    assert [m.key for m in records.messages(minutes(1_439))] == [b"floors", b"checkpoint"]


def test_floors_are_written_again_before_a_look_at_the_end_of_the_log_would_miss_them() -> None:
    records = CheckpointRecords("aftcast-state")
    written = [len(records.messages(minutes(3))) for _ in range(1_000)]
    at = [i for i, count in enumerate(written) if count == 2]
    # Two records and a transaction's mark are three offsets; the look takes 2,000.
    assert max(b - a for a, b in itertools.pairwise(at)) * 3 < 2_000


def test_offsets_set_aside_in_millions_are_split_so_that_brokers_take_every_message() -> None:
    noise = os.urandom(8 * 400_000)
    reused = tuple(int.from_bytes(noise[i : i + 5], "little") for i in range(0, len(noise), 8))
    checkpoint = Checkpoint(2, 1, 10**12, 0, 0, 0, 0, (), reused)
    told = CheckpointRecords("aftcast-state").messages(checkpoint)
    assert [m.key for m in told] == [b"floors", b"floors-1", b"floors-2", b"checkpoint"][-len(told) :]
    assert len(told) > 2
    assert max(len(m.value) for m in told) < MESSAGE_LIMIT + 100
    found = {m.key or b"": m.value for m in told}
    assert stored(found, "") == Stored(checkpoint)
    del found[b"floors-1"]
    assert not is_whole(found)


def test_no_checkpoint_is_no_error() -> None:
    assert stored({}, "aftcast-state[0]") is None
    assert not is_whole({})


def test_a_newer_format_is_refused_with_the_remedy() -> None:
    found = {m.key or b"": m.value for m in CheckpointRecords("s").messages(minutes(1))}
    told = json.loads(found[CHECKPOINT_KEY])
    found[CHECKPOINT_KEY] = json.dumps({"format": STATE_FORMAT + 1, "unknown": told}).encode()
    assert is_whole(found)
    with pytest.raises(
        StateFormatError,
        match=rf"^aftcast-state\[4\]: the checkpoint has format {STATE_FORMAT + 1}, and this version of "
        rf"aftcast reads formats up to {STATE_FORMAT}; start the version that wrote it, or a newer one$",
    ):
        stored(found, "aftcast-state[4]")


def test_records_of_two_checkpoints_are_never_taken_for_one() -> None:
    records = CheckpointRecords("s")
    first = {m.key or b"": m.value for m in records.messages(minutes(1))}
    second = {m.key or b"": m.value for m in records.messages(minutes(2))}
    with pytest.raises(
        StateError, match=r"^s\[0\]: record 'floors' is of 3-1, the checkpoint needs that of 3-2"
    ):
        stored({**second, b"floors": first[b"floors"]}, "s[0]")
