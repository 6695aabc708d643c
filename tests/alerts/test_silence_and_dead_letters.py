"""Silence is told when it is certain and no chance; dead letters when they are many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.findings import AlertEvent, StreamTotals
from streams.alerts.dead_letters import DeadLetters
from streams.alerts.silence import Gap, Silence

MINUTE_MS = 60_000
QUARTER_MS = 15 * MINUTE_MS


def look(one: Silence, now: float, last: float, a_minute: float, **more: bool | int) -> list[AlertEvent]:
    gap = Gap(int(now * MINUTE_MS), int(last * MINUTE_MS), a_minute / MINUTE_MS)
    given = {"begin_ms": gap.last_ms, "certain": True} | more
    return one.advance(gap, silence_after_ms=QUARTER_MS, **given)


def test_silence_fires_at_its_due_time_and_resolves_with_the_next_prediction() -> None:
    one = Silence("fraud", None)
    assert look(one, 114.99, 100, 50.0) == []
    (fired,) = look(one, 130, 100, 50.0)
    assert (fired.timestamp_ms, fired.window_start_ms) == (115 * MINUTE_MS, 100 * MINUTE_MS)
    assert (fired.kind, fired.severity, fired.model_version) == ("silence", "page", "")
    assert look(one, 140, 100, 50.0) == []
    (resolved,) = look(one, 150, 149, 50.0)
    assert (resolved.status, resolved.fingerprint) == ("resolved", fired.fingerprint)


def test_a_model_with_little_traffic_may_pause_longer() -> None:
    one = Silence("fraud", None)
    assert look(one, 159, 100, 10 / 60) == []
    assert len(look(one, 161, 100, 10 / 60)) == 1


def test_what_is_not_certain_is_no_silence() -> None:
    one = Silence("fraud", None)
    assert look(one, 500, 100, 50.0, certain=False) == []
    assert look(one, 500, 100, 50.0, begin_ms=490 * MINUTE_MS) == []
    assert len(look(one, 505, 100, 50.0, begin_ms=490 * MINUTE_MS)) == 1


def totals(minute: int, read: int, dead: int, *, partition: int = 0, epoch: int = 1) -> StreamTotals:
    return StreamTotals(partition, epoch, minute * MINUTE_MS, read, dead)


def test_many_dead_letters_fire_once_and_resolve_a_window_after_they_end() -> None:
    one, events, read, dead = DeadLetters(0.05), [], 0, 0
    for minute in range(60):
        read, dead = read + 100, dead + (20 if 20 <= minute < 30 else 0)
        one.absorb(totals(minute, read, dead))
        events += one.advance()
    assert [event.status for event in events] == ["firing", "resolved"]
    fired, resolved = events
    assert fired.value is not None
    assert fired.value > 0.05
    assert (fired.kind, fired.model) == ("dead_letters", "")
    assert 22 <= fired.window_end_ms / MINUTE_MS <= 23
    assert 38 <= resolved.window_end_ms / MINUTE_MS <= 42


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40), st.booleans()), max_size=12))
def test_leaving_out_what_cannot_change_changes_nothing(story: list[tuple[int, int, bool]]) -> None:
    at_once, by_minute = DeadLetters(0.05), DeadLetters(0.05)
    told: list[list[AlertEvent]] = [[], []]
    minute = read = dead = 0
    for pause, more, are_bad in story:
        for step in range(1, pause + 1):  # totals come although no records do
            by_minute.absorb(totals(minute + step, read, dead))
            told[1] += by_minute.advance()
        minute, read, dead = minute + pause, read + more, dead + (more if are_bad else 0)
        for one, its in ((at_once, told[0]), (by_minute, told[1])):
            one.absorb(totals(minute, read, dead))
            its.extend(one.advance())
    assert told[0] == told[1]


def test_a_pause_of_ten_years_is_not_walked_minute_by_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = []
    evaluate = DeadLetters._evaluate
    monkeypatch.setattr(
        DeadLetters, "_evaluate", lambda self, at, steps: evaluated.append(at) or evaluate(self, at, steps)
    )
    one, ten_years = DeadLetters(0.05), 10 * 365 * 24 * 60
    events = []
    for minute, read, dead in [(0, 100, 50), (6, 100, 50), (ten_years, 200, 50), (2 * ten_years, 200, 50)]:
        one.absorb(totals(minute, read, dead))
        events += one.advance()
    assert [event.status for event in events] == ["firing", "resolved"]
    assert events[1].window_end_ms == 11 * MINUTE_MS
    assert len(evaluated) < 100


def test_a_few_bad_records_are_no_alert() -> None:
    one = DeadLetters(0.05)
    one.absorb(totals(0, 10, 9))
    one.absorb(totals(2, 11, 9))
    assert one.advance() == []


def test_repeated_and_older_totals_are_counted_once() -> None:
    once, twice = DeadLetters(0.05), DeadLetters(0.05)
    told: list[list[AlertEvent]] = [[], []]
    for minute in range(30):
        now = totals(minute, 100 * minute, 10 * minute)
        once.absorb(now)
        for one in (now, now, totals(0, 0, 0)):
            twice.absorb(one)
        told[0] += once.advance()
        told[1] += twice.advance()
    assert told[0] == told[1] != []


def test_the_share_is_over_all_partitions_and_waits_for_the_slowest() -> None:
    one = DeadLetters(0.05)
    one.absorb(totals(0, 0, 0))
    one.absorb(totals(0, 0, 0, partition=1))
    one.absorb(totals(9, 100, 100))
    assert one.advance() == []
    one.absorb(totals(9, 10_000, 0, partition=1))
    one.absorb(totals(12, 101, 100))
    one.absorb(totals(12, 10_001, 0, partition=1))
    assert one.advance() == []


def test_a_new_owner_that_counts_from_zero_adds_what_it_has() -> None:
    one = DeadLetters(0.05)
    one.absorb(totals(0, 5000, 0))
    one.absorb(totals(1, 50, 30, epoch=2))
    one.absorb(totals(9, 51, 30, epoch=2))
    (fired,) = one.advance()
    assert fired.evidence["dead_lettered"] == 30
