"""Panes without their labels stop the frontier, and are in the end given up."""

from schemas.settings import DAY_MS, HOUR_MS
from streams.maturity import Holding

WIDTH_MS = 60_000


def run(holding: Holding, now_ms: int, labelled: dict[int, int], expected: float = 40.0) -> None:
    starts = sorted(labelled)
    holding.advance(
        now_ms,
        HOUR_MS,
        lambda start, end: [s for s in starts if (start is None or s >= start) and s < end],
        lambda start: (expected, labelled[start]),
    )


def test_the_frontier_stands_before_the_first_pane_with_less_than_half_of_its_labels() -> None:
    panes = {i * WIDTH_MS: 40 for i in range(120)}
    panes |= {i * WIDTH_MS: 19 for i in range(30, 40)}
    holding = Holding(WIDTH_MS)
    run(holding, 2 * HOUR_MS, panes)
    assert holding.until_ms == 30 * WIDTH_MS
    assert holding.held is not None
    assert (holding.held.start_ms, holding.held.labelled) == (30 * WIDTH_MS, 19)
    panes |= {i * WIDTH_MS: 20 for i in range(30, 40)}  # half of them is enough
    run(holding, 2 * HOUR_MS, panes)
    assert holding.held is None
    assert holding.until_ms == HOUR_MS
    assert holding.skipped == []


def test_labels_that_never_come_are_given_up_a_day_after_they_were_due() -> None:
    panes = {i * WIDTH_MS: (0 if 30 <= i < 40 else 40) for i in range(60)}
    holding = Holding(WIDTH_MS)
    due_ms = 31 * WIDTH_MS + HOUR_MS + DAY_MS
    run(holding, due_ms - 1, panes)
    assert holding.until_ms == 30 * WIDTH_MS
    run(holding, due_ms, panes)
    assert holding.until_ms == 31 * WIDTH_MS
    run(holding, due_ms + HOUR_MS, panes)
    assert holding.skipped == [(30 * WIDTH_MS, 40 * WIDTH_MS)]
    assert holding.held is None


def test_small_panes_without_a_label_are_no_outage_until_twenty_labels_are_missing() -> None:
    holding = Holding(WIDTH_MS)
    panes = {i * WIDTH_MS: (0 if i % 3 else 4) for i in range(60)}
    run(holding, 2 * HOUR_MS, panes, expected=2.0)
    assert holding.until_ms == HOUR_MS  # two thirds have none, all together have two thirds of theirs
    late = Holding(WIDTH_MS)
    run(late, 2 * HOUR_MS, {i * WIDTH_MS: (2 if i < 30 else 0) for i in range(60)}, expected=2.0)
    assert 33 * WIDTH_MS <= (late.until_ms or 0) <= 36 * WIDTH_MS


def test_an_outage_with_which_judging_began_is_over_when_its_labels_come() -> None:
    holding = Holding(WIDTH_MS)
    run(holding, 2 * HOUR_MS, {i * WIDTH_MS: 0 for i in range(60)}, expected=7.0)
    assert (holding.until_ms, holding.held is None) == (
        2 * WIDTH_MS,
        False,
    )  # two of them are too few to tell
    run(holding, 3 * HOUR_MS, {i * WIDTH_MS: 7 for i in range(120)}, expected=7.0)
    assert (holding.until_ms, holding.held) == (2 * HOUR_MS, None)


def test_a_longer_horizon_never_takes_back_what_was_mature() -> None:
    holding = Holding(WIDTH_MS)
    panes = {i * WIDTH_MS: 40 for i in range(600)}
    run(holding, 2 * HOUR_MS, panes)
    holding.advance(3 * HOUR_MS, 3 * HOUR_MS, lambda *_: [], lambda _: (0.0, 0))
    assert holding.until_ms == HOUR_MS
    holding.advance(5 * HOUR_MS, 3 * HOUR_MS, lambda *_: [], lambda _: (0.0, 0))
    assert holding.until_ms == 2 * HOUR_MS
