"""Which moments of the stream the cold join may use: those whose records the raw role has written."""

from dataclasses import replace

from schemas.findings import Progress
from sinks.cold.reached import Following, Scan

FIRST = Progress(0, 2, 1, 1_000, 2_000, True, 600, 10, 20, 0)
SECOND = replace(FIRST, partition=1, floor_ms=500, inference_ms=900)
ENDS = {("updates", 0): 7}
WRITTEN = {("i", 0): 10, ("i", 1): 10, ("l", 0): 20, ("l", 1): 20, ("updates", 0): 7}


def following(*reports: Progress) -> Following:
    heard = Following("i", "l")
    heard.hear(reports)
    return heard


def test_nothing_is_known_before_each_partition_was_heard() -> None:
    assert not following(FIRST).is_complete
    assert following(FIRST, SECOND).is_complete


def test_a_moment_is_used_when_inputs_and_results_are_written_up_to_it() -> None:
    heard = following(FIRST, SECOND)
    heard.hold(ENDS)
    for place, end in WRITTEN.items():
        assert heard.short_of(WRITTEN | {place: end - 1}) == [place]
    assert heard.short_of(WRITTEN) == []
    reached, restless = heard.take(WRITTEN | {("i", 1): 13})
    assert (reached.floor_ms, reached.highest_floor_ms, reached.as_of_ms) == (500, 600, 900)
    assert (reached.bound, restless, heard.waits) == (63, frozenset(), False)


def test_progress_that_is_heard_after_a_moment_was_held_is_not_in_it() -> None:
    heard = following(FIRST, SECOND)
    heard.hold(ENDS)
    heard.hear([replace(FIRST, floor_ms=900, inference_offset=99, unmatched=5)])
    reached, restless = heard.take(WRITTEN)
    assert (reached.floor_ms, reached.progress[0].inference_offset, restless) == (500, 10, frozenset())
    heard.hold(ENDS)
    assert heard.short_of(WRITTEN) == [("i", 0)]
    assert heard.take(WRITTEN)[1] == {0}


def test_a_partition_is_restless_though_its_count_came_back_to_where_it_was() -> None:
    heard = following(FIRST, SECOND, replace(FIRST, unmatched=1), FIRST)
    heard.hold(ENDS)
    assert heard.take(WRITTEN)[1] == {0}


def test_progress_of_an_owner_before_is_not_heard() -> None:
    heard = following(replace(FIRST, epoch=2, floor_ms=700), SECOND, FIRST)
    heard.hold(ENDS)
    assert heard.take(WRITTEN)[0].progress[0].floor_ms == 700


def test_a_scan_moves_on_and_never_back() -> None:
    scan = Scan(0).moved_to(FIRST)
    assert scan.is_new(replace(FIRST, epoch=2))
    assert scan.is_new(replace(FIRST, unmatched=1))
    assert not scan.is_new(FIRST)
    back = scan.moved_to(replace(FIRST, epoch=2, inference_offset=4, label_offset=5, inference_ms=0))
    assert (back.inference_offset, back.label_offset, back.as_of_ms) == (10, 20, 1_000)
