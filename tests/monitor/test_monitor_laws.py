"""What the monitor finds follows from rows and progress, not from the order in which they came."""

import random
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pane_rows import HOUR_MS, MINUTE_MS, T0, batch, reached, row

from schemas.settings import MonitorSettings, RuleSettings
from streams.monitor import Findings, Monitor

RULES = (
    RuleSettings("accuracy-low", "accuracy", below=0.9, window_ms=10 * MINUTE_MS, min_labelled=50),
    RuleSettings("early", "accuracy", below=0.9, window_ms=5 * MINUTE_MS, min_labelled=50, on="all"),
    RuleSettings("germany", "f1", below=0.5, window_ms=10 * MINUTE_MS, min_labelled=10, segment="country=DE"),
)
SETTINGS = MonitorSettings(maturity_horizon_ms=5 * MINUTE_MS, rules=RULES)
PARTITIONS = 3
STEPS = 40


def history(seed: int) -> list[list[dict[str, Any]]]:
    """Per minute, the rows that stage 1 would send: the new pane, and older ones whose labels came."""
    rng = np.random.default_rng(seed)
    bad = range(*sorted(rng.integers(5, STEPS, 2)))
    steps = []
    for now in range(STEPS):
        rows = []
        for pane in {now, max(0, now - int(rng.integers(1, 5))), max(0, now - int(rng.integers(4, 12)))}:
            for partition in range(PARTITIONS):
                for segment in ("", "country=DE", "country=FR"):
                    n = int(np.random.default_rng((seed, pane, partition)).integers(10, 40))
                    labelled = n * min(now - pane + 1, 4) // 4
                    wrong = int(rng.binomial(labelled, 0.4 if pane in bad else 0.03))
                    key = {"segment": segment, "partition": partition, "revision": now + 1}
                    rows.append(row(T0 + pane * MINUTE_MS, n=n, labelled=labelled, wrong=wrong, **key))
        steps.append(rows)
    return steps


def run(steps: list[list[dict[str, Any]]], mix: random.Random | None, **kept: bool) -> list[Findings]:
    monitor = Monitor(SETTINGS, **kept)
    findings, past = [], []
    for now, rows in enumerate(steps):
        sent = list(rows)
        past += rows
        if mix is not None:
            sent += mix.choices(past, k=mix.randrange(10))  # redelivered and older ones
            mix.shuffle(sent)
        while sent:
            size = len(sent) if mix is None else mix.randint(1, len(sent))
            monitor.absorb(batch(*sent[:size]))
            sent = sent[size:]
        progress = [
            reached(T0 + (now + 1) * MINUTE_MS, partition=p, partitions=PARTITIONS) for p in range(PARTITIONS)
        ]
        if mix is not None:
            mix.shuffle(progress)
        findings.append(monitor.advance(progress))
    return findings


@given(st.integers(0, 10_000), st.integers(0, 10_000))
@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.too_slow])
def test_batching_interleaving_and_repeats_change_nothing(seed: int, order: int) -> None:
    steps = history(seed)
    plain = run(steps, None)
    assert run(steps, random.Random(order)) == plain
    assert any(findings.alerts for findings in plain)


def test_keeping_everything_finds_the_same() -> None:
    steps = history(3)
    assert run(steps, None, keep_all=True) == run(steps, None)


def test_partitions_merge_to_what_one_partition_would_say() -> None:
    one, three = Monitor(SETTINGS), Monitor(SETTINGS)
    found: list[list[Findings]] = [[], []]
    for now in range(30):
        wrong = 30 if now >= 15 else 3
        start_ms, end_ms = T0 + now * MINUTE_MS, T0 + (now + 1) * MINUTE_MS
        one.absorb(batch(row(start_ms, n=90, wrong=wrong)))
        three.absorb(batch(*(row(start_ms, n=30, wrong=wrong // 3, partition=p) for p in range(3))))
        found[0].append(one.advance([reached(end_ms)]))
        found[1].append(three.advance([reached(end_ms, partition=p, partitions=3) for p in range(3)]))
    assert found[0] == found[1]
    assert any(findings.alerts for findings in found[0])


def test_nothing_is_said_until_every_partition_was_heard_and_then_nothing_is_missing() -> None:
    late, prompt = Monitor(SETTINGS), Monitor(SETTINGS)
    rows = [row(T0 + i * MINUTE_MS, n=50, wrong=25) for i in range(30)]
    for monitor in (late, prompt):
        monitor.absorb(batch(*rows))
    end_ms = T0 + 30 * MINUTE_MS
    assert late.advance([reached(end_ms, partitions=2)]) == Findings()
    both = [reached(end_ms, partition=p, partitions=2) for p in range(2)]
    assert late.advance(both[1:]) == prompt.advance(both)


def test_a_backlog_taken_in_steps_finds_what_it_finds_at_once() -> None:
    at_once, stepwise = Monitor(SETTINGS), Monitor(SETTINGS)
    rows = batch(*(row(T0 + i * MINUTE_MS, n=60, wrong=25 if 200 <= i < 300 else 2) for i in range(600)))
    end = [reached(T0 + 600 * MINUTE_MS)]
    for monitor in (at_once, stepwise):
        monitor.absorb(rows)
    whole = at_once.advance(end)
    steps = list(stepwise.steps(end))
    found = [stepwise.advance(step) for step in steps]
    assert len(steps) == 40
    assert [drift for one in found for drift in one.drifts] == list(whole.drifts)
    assert {alert.event_id for one in found for alert in one.alerts} == {a.event_id for a in whole.alerts}
    assert len(whole.alerts) >= 6


def test_windows_merge_panes_and_partitions_and_say_whether_they_are_mature() -> None:
    monitor = Monitor(SETTINGS)
    monitor.absorb(
        batch(*(row(T0 + i * MINUTE_MS, n=i + 1, partition=p) for i in range(150) for p in range(2)))
    )
    monitor.advance([reached(T0 + 125 * MINUTE_MS, partition=p, partitions=2) for p in range(2)])
    windows = list(monitor.windows("fraud", "1", "", HOUR_MS))
    assert [(start - T0) // HOUR_MS for start, _, _ in windows] == [0, 1, 2]
    expected = [2 * sum(range(60 * k + 1, min(60 * k + 60, 150) + 1)) for k in range(3)]
    assert [sums.counts["predictions"] for _, sums, _ in windows] == expected
    assert [mature for _, _, mature in windows] == [True, True, False]
    assert list(monitor.windows("nobody", "1", "", HOUR_MS)) == []


def test_a_revised_pane_shows_in_a_window_that_was_already_merged() -> None:
    monitor = Monitor(SETTINGS)
    monitor.absorb(batch(*(row(T0 + i * MINUTE_MS, n=10) for i in range(60))))
    before = next(monitor.windows("fraud", "1", "", HOUR_MS))[1].counts["hits"]
    monitor.absorb(batch(row(T0 + 20 * MINUTE_MS, n=10, wrong=7, revision=2)))
    assert next(monitor.windows("fraud", "1", "", HOUR_MS))[1].counts["hits"] == before - 7


def test_what_is_kept_does_not_grow_with_time() -> None:
    monitor = Monitor(SETTINGS)
    kept = []
    for hour in range(24 * 3):
        monitor.absorb(batch(*(row(T0 + hour * HOUR_MS + i * MINUTE_MS, n=5) for i in range(60))))
        monitor.advance([reached(T0 + (hour + 1) * HOUR_MS)])
        kept.append(len(monitor._store.series["fraud", "1", ""].panes))
    assert kept[47] == kept[-1]
    assert kept[-1] < 26 * 60
    monitor.advance([reached(T0 + 24 * 40 * HOUR_MS)])
    assert monitor._store.series == {}
    assert monitor.models() == {}
