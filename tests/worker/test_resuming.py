"""Where a partition goes on, for every way in which the logs may not hold what the checkpoint needs."""

from dataclasses import replace

import pytest

from schemas.checkpoints import Checkpoint, FloorStep, LastRecord
from streams.worker.alignment import Side
from streams.worker.checkpoint_records import Gap
from streams.worker.resuming import MARGIN_MS, Log, Start, first_start, resumed

WIDTH_MS = 60_000
NOW_MS = 1_800_000_000_000
STEPS = (FloorStep(NOW_MS - 100 * WIDTH_MS, 60, 30),)
CHECKPOINT = Checkpoint(
    3, 7, 100, 50, 40, 20, NOW_MS - 200 * WIDTH_MS, STEPS, (77,), NOW_MS - 1_000, NOW_MS - 2_000
)


def logs(inference: tuple[int, int], labels: tuple[int, int]) -> dict[Side, Log]:
    return {
        "inference": Log("inference-events", *inference, NOW_MS - 10 * WIDTH_MS - 1),
        "labels": Log("label-events", *labels, NOW_MS - 20 * WIDTH_MS),
    }


def start(inference: tuple[int, int], labels: tuple[int, int], *gaps: Gap) -> Start:
    return resumed(CHECKPOINT, gaps, logs(inference, labels), NOW_MS, WIDTH_MS)


@pytest.mark.parametrize(("first", "end"), [(0, 100), (40, 100), (40, 5_000)])
def test_where_the_logs_hold_all_that_is_needed_the_checkpoint_is_taken_as_it_is(
    first: int, end: int
) -> None:
    begun = start((first, end), (20, 50))
    assert begun == Start(epoch=8, checkpoint=CHECKPOINT)
    assert begun.offsets == {"inference": CHECKPOINT.inference_offset, "labels": CHECKPOINT.label_offset}


def test_expired_records_are_named_and_panes_up_to_the_first_record_there_is_are_lost() -> None:
    begun = start((41, 200), (20, 50))
    assert begun.checkpoint == replace(CHECKPOINT, inference_low=41)
    assert begun.lost_until_ms == NOW_MS - 10 * WIDTH_MS + MARGIN_MS  # rounded up
    gap = Gap("inference-events", begun.lost_until_ms)
    assert begun.gaps == (gap,)
    ((found, told),) = begun.found
    assert found == gap
    assert told.startswith(
        "inference-events[3]: expected offset 40, the log holds 41 to 199: records expired before"
    )
    assert "raise the topic's retention.ms" in told


def test_when_both_topics_lost_records_the_later_loss_decides() -> None:
    begun = start((41, 200), (21, 50))
    assert begun.lost_until_ms == NOW_MS - 10 * WIDTH_MS + MARGIN_MS
    assert [gap.topic for gap in begun.gaps] == ["inference-events", "label-events"]


def test_a_topic_of_which_nothing_is_left_is_waited_for_at_its_end() -> None:
    begun = resumed(
        CHECKPOINT,
        (),
        {**logs((0, 100), (0, 50)), "labels": Log("label-events", 70, 70, None)},
        NOW_MS,
        WIDTH_MS,
    )
    assert (begun.checkpoint.label_low, begun.checkpoint.label_offset) == (70, 70)
    assert begun.lost_until_ms == NOW_MS + MARGIN_MS
    assert "expected offset 20, the log is empty" in begun.found[0][1]


def test_a_topic_made_anew_is_read_from_its_beginning_with_a_floor_from_now_on() -> None:
    begun = start((0, 99), (20, 50))
    assert begun.offsets == {"inference": 0, "labels": 50}
    assert begun.checkpoint == replace(
        first_start(3, {"inference": 0, "labels": 50}, NOW_MS),
        inference_ms=CHECKPOINT.inference_ms,
        labels_ms=CHECKPOINT.labels_ms,
    )
    assert begun.epoch == 8
    assert begun.found[0][1].startswith(
        "inference-events[3]: expected offset 100, the log holds 0 to 98: the topic was made anew"
    )


LAST = LastRecord(98, NOW_MS - 5, 0xC0FFEE)


@pytest.mark.parametrize("again", [LAST, None])
def test_a_log_whose_last_record_is_the_one_that_was_read_or_is_gone_is_the_same(
    again: LastRecord | None,
) -> None:
    known = replace(CHECKPOINT, inference_last=LAST)
    held = logs((0, 5_000), (20, 50))
    held["inference"] = replace(held["inference"], again=again)
    assert resumed(known, (), held, NOW_MS, WIDTH_MS) == Start(epoch=8, checkpoint=known)


@pytest.mark.parametrize("other", [replace(LAST, time_ms=NOW_MS), replace(LAST, crc32=1)])
def test_a_log_that_was_written_on_behind_what_it_lost_is_read_from_its_beginning(other: LastRecord) -> None:
    labels = LastRecord(49, NOW_MS, 1)
    held = logs((0, 5_000), (20, 50))
    held["inference"] = replace(held["inference"], again=other)
    begun = resumed(replace(CHECKPOINT, inference_last=LAST, label_last=labels), (), held, NOW_MS, WIDTH_MS)
    assert begun.offsets == {"inference": 0, "labels": 50}
    assert (begun.checkpoint.inference_last, begun.checkpoint.label_last) == (None, labels)
    assert begun.checkpoint.floor_now_ms == NOW_MS
    assert begun.found[0][1].startswith(
        "inference-events[3]: offset 98 holds another record than the one that was read there: the topic was"
    )


def test_a_floor_never_falls_when_a_topic_is_made_anew() -> None:
    ahead = replace(CHECKPOINT, steps=(FloorStep(NOW_MS + 5 * WIDTH_MS, 60, 30),))
    begun = resumed(ahead, (), logs((0, 99), (20, 50)), NOW_MS, WIDTH_MS)
    assert begun.checkpoint.floor_now_ms == NOW_MS + 5 * WIDTH_MS


def test_a_gap_that_was_told_stays_open_and_a_newer_one_of_its_topic_takes_its_place() -> None:
    old = Gap("label-events", NOW_MS - 1), Gap("inference-events", NOW_MS - 1)
    begun = start((41, 200), (20, 50), *old)
    assert begun.gaps == (old[0], Gap("inference-events", begun.lost_until_ms))
    assert len(begun.found) == 1
