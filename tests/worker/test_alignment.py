"""Aligned reading: backlogs, idle topics and wrong clocks."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import RawBatch
from streams.worker import alignment
from streams.worker.alignment import SIDES, AlignedReader, Side

NOBODY: dict[Side, bool] = {"inference": False, "labels": False}
BOTH: dict[Side, bool] = {"inference": True, "labels": True}
ONLY_LABELS: dict[Side, bool] = {"inference": False, "labels": True}
ONLY_INFERENCE: dict[Side, bool] = {"inference": True, "labels": False}


def batch(times_ms: Sequence[int], first_offset: int = 0) -> RawBatch:
    n = len(times_ms)
    return RawBatch(
        "t",
        0,
        np.arange(first_offset, first_offset + n),
        np.array(times_ms, np.int64),
        [b"k"] * n,
        [b"v"] * n,
    )


def taken(reader: AlignedReader[str], caught_up: dict[Side, bool]) -> list[tuple[Side, list[int]]]:
    found = []
    while (piece := reader.take(caught_up)) is not None:
        found.append((piece.side, [int(time) for time in piece.batch.record_times_ms]))
    return found


def test_in_a_backlog_the_topic_whose_next_record_is_older_goes_first() -> None:
    reader: AlignedReader[str] = AlignedReader()
    reader.put("inference", batch([10, 11]), "i1")
    reader.put("inference", batch([30, 31], 2), "i2")
    reader.put("labels", batch([5, 20]), "l1")
    reader.put("labels", batch([40], 2), "l2")
    assert taken(reader, NOBODY) == [("labels", [5, 20]), ("inference", [10, 11]), ("inference", [30, 31])]


def test_a_topic_with_nothing_fetched_is_waited_for_until_it_is_caught_up() -> None:
    reader: AlignedReader[str] = AlignedReader()
    reader.put("inference", batch([10]), "i")
    assert reader.take(NOBODY) is None
    assert reader.take(ONLY_INFERENCE) is None
    assert taken(reader, ONLY_LABELS) == [("inference", [10])]


def test_a_topic_that_is_ahead_and_not_caught_up_holds_nothing_back_that_is_older() -> None:
    reader: AlignedReader[str] = AlignedReader()
    reader.put("labels", batch([100]), "l")
    reader.put("inference", batch([10]), "i1")
    assert taken(reader, NOBODY) == [("inference", [10])]
    reader.put("inference", batch([200], 1), "i2")
    assert taken(reader, NOBODY) == [("labels", [100])]


def test_idle_partitions_follow_the_ticks_and_only_they() -> None:
    reader: AlignedReader[str] = AlignedReader()
    assert reader.progress(1_000, BOTH) == (1_000, 1_000, True)
    assert reader.progress(2_000, ONLY_LABELS) == (1_000, 2_000, False)
    reader.put("inference", batch([1_500]), "i")
    assert reader.progress(3_000, BOTH) == (1_000, 3_000, False)
    taken(reader, BOTH)
    assert reader.progress(3_000, ONLY_LABELS) == (1_499, 3_000, False)
    assert reader.progress(4_000, BOTH) == (4_000, 4_000, True)


def test_more_records_of_the_newest_millisecond_may_come_so_it_does_not_count_as_read() -> None:
    reader: AlignedReader[str] = AlignedReader()
    reader.put("inference", batch([10, 20]), "i")
    taken(reader, ONLY_LABELS)
    assert reader.progress(9_000, NOBODY)[0] == 19


def test_a_clock_that_is_ahead_never_moves_progress_past_the_tick() -> None:
    reader: AlignedReader[str] = AlignedReader()
    reader.put("inference", batch([10, 10**15, 12]), "i")
    taken(reader, ONLY_LABELS)
    assert reader.progress(5_000, NOBODY)[0] == 5_000
    assert reader.progress(6_000, NOBODY)[0] == 6_000


def test_a_clock_that_is_behind_never_takes_progress_back() -> None:
    reader: AlignedReader[str] = AlignedReader()
    reader.put("inference", batch([1_000]), "i")
    reader.put("inference", batch([3], 1), "j")
    taken(reader, ONLY_LABELS)
    assert reader.progress(5_000, NOBODY)[0] == 999


def test_a_tick_that_goes_back_takes_nothing_back() -> None:
    reader: AlignedReader[str] = AlignedReader()
    reader.progress(5_000, BOTH)
    assert reader.progress(4_000, BOTH) == (5_000, 5_000, True)


def test_a_record_from_the_far_future_is_read_once_the_other_topic_is_caught_up() -> None:
    reader: AlignedReader[str] = AlignedReader()
    reader.put("labels", batch([10**15]), "l")
    assert reader.take(NOBODY) is None
    assert taken(reader, ONLY_INFERENCE) == [("labels", [10**15])]


def test_a_large_batch_is_split_and_its_token_comes_with_the_last_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alignment, "PIECE_RECORDS", 3)
    reader: AlignedReader[str] = AlignedReader()
    reader.put("inference", batch(range(7), first_offset=40), "token")
    pieces = [reader.take(ONLY_LABELS) for _ in range(3)]
    assert [(list(p.batch.offsets), p.token) for p in pieces if p] == [
        ([40, 41, 42], None),
        ([43, 44, 45], None),
        ([46], "token"),
    ]
    assert reader.next_offset("inference") == 47


def test_after_a_seek_what_was_pending_is_gone_and_progress_stays() -> None:
    reader: AlignedReader[str] = AlignedReader()
    reader.progress(500, BOTH)
    reader.put("labels", batch([600]), "l")
    reader.start_at("labels", 12)
    assert (reader.pending_records, reader.next_offset("labels")) == (0, 12)
    assert reader.progress(400, BOTH) == (500, 500, True)


@given(st.lists(st.tuples(st.sampled_from(SIDES), st.lists(st.integers(0, 60), min_size=1, max_size=5))))
def test_everything_is_taken_once_in_order_and_progress_covers_only_what_was_taken(
    batches: list[tuple[Side, list[int]]],
) -> None:
    reader: AlignedReader[str] = AlignedReader()
    sent: dict[Side, list[int]] = {side: [] for side in SIDES}
    for side, times in batches:
        ordered = [max(sent[side], default=0) + time for time in sorted(times)]
        reader.put(side, batch(ordered, len(sent[side])), "")
        sent[side] += ordered
    got: dict[Side, list[int]] = {side: [] for side in SIDES}
    last = (0, 0)
    while (piece := reader.take(BOTH)) is not None:
        got[piece.side] += [int(time) for time in piece.batch.record_times_ms]
        now = reader.progress(10**6, NOBODY)[:2]
        assert now >= last
        for side, reached_ms in zip(SIDES, now, strict=True):
            assert all(time > reached_ms for time in sent[side][len(got[side]) :]) or reached_ms == 0
        last = now
    assert got == sent
