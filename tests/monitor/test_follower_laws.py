"""Whenever a follower is killed, what was told in the end is what one that was never killed tells, once."""

import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pane_rows import MINUTE_MS, T0, batch, reached, row

from schemas import messages
from schemas.findings import AlertEvent
from schemas.journal import Position
from schemas.settings import MonitorSettings, RuleSettings
from streams.monitor import Findings, Follower, Loading

RULES = (
    RuleSettings("accuracy-low", "accuracy", below=0.9, window_ms=5 * MINUTE_MS, min_labelled=50),
    RuleSettings("early", "accuracy", below=0.9, window_ms=3 * MINUTE_MS, min_labelled=50, on="all"),
)
SETTINGS = MonitorSettings(maturity_horizon_ms=5 * MINUTE_MS, rules=RULES)
STEPS = 45
Message = tuple[int, bytes, bytes]  # offset, kind, value


@cache
def log() -> tuple[Message, ...]:
    """A model that is wrong for a while, labelled late, so that alerts are fired, corrected and resolved."""
    told: list[tuple[bytes, bytes]] = []
    for now in range(STEPS):
        told += [(messages.PANES, messages.encode_panes(rows)) for rows in minute(now)]
        told.append((messages.PROGRESS, messages.encode(reached(T0 + (now + 1) * MINUTE_MS))))
    told.insert(40, (b"other", b"{"))
    told.insert(50, (messages.PROGRESS, b"no progress"))
    # Offsets have gaps: marks of transactions.
    return tuple((3 * i + i % 2, kind, value) for i, (kind, value) in enumerate(told))


def minute(now: int) -> list[pa.RecordBatch]:
    rows = []
    for pane in sorted({now, max(0, now - 2), max(0, now - 9)}):
        rng = np.random.default_rng(pane)
        n = int(rng.integers(60, 90))
        labelled = n * min(now - pane + 1, 4) // 4
        wrong = int(rng.binomial(n, 0.5 if 15 <= pane < 22 else 0.03)) * labelled // n
        wrong -= wrong // 3 if now - pane == 9 else 0  # the late labels are mostly right
        rows.append(batch(row(T0 + pane * MINUTE_MS, n=n, labelled=labelled, wrong=wrong, revision=now + 1)))
    return rows


@dataclass
class Topics:
    """What is committed: findings, and the newest of the journal."""

    findings: list[Findings] = field(default_factory=list)
    position: Position | None = None
    snapshot: bytes = b""
    cuts: list[int] = field(default_factory=list)

    def commit(self, findings: list[Findings], position: Position, snapshot: bytes | None) -> None:
        self.findings += findings
        # Two lives of one partition never ask at the same place, and nobody goes back.
        since = self.position.offset if self.position else -1
        self.cuts += [cut for cut in position.cuts if cut > since]
        self.position = position
        if snapshot is not None:
            self.snapshot = snapshot

    def begin(self) -> Follower:
        if self.position is None:
            return Follower(SETTINGS, 0)
        loaded = None
        if self.position.parts:
            loaded = Loading(self.snapshot, SETTINGS)
            for _ in loaded.steps():
                pass
        return Follower(SETTINGS, self.position.snapshot_offset, self.position, loaded)


class KilledError(Exception):
    pass


def live(topics: Topics, chance: random.Random, *, lives_for: int) -> None:
    """Work until the end of the log, or until killed after some steps, at any place."""
    left = lives_for

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError

    follower = topics.begin()
    waiting: list[Findings] = []

    def ask() -> None:
        silent = follower.silent
        for findings in follower.cut():
            step()
            if not silent and findings != Findings():
                waiting.append(findings)
        if silent:
            assert waiting == []
            return
        if waiting or chance.random() < 0.3:
            step()  # before the transaction
            topics.commit(waiting, follower.position(), None)
            waiting.clear()
            step()  # after it
            if chance.random() < 0.2:
                snapshot = b"".join(follower.snapshot())
                follower.snapshot_taken(1, "")
                step()
                topics.commit([], follower.position(), snapshot)

    for offset, kind, value in log():
        if offset < follower.next_offset:
            continue
        step()
        try:
            follower.take(offset, kind, value)
        except ValueError:
            assert (kind, value) == (messages.PROGRESS, b"no progress")
        while follower.due:
            ask()
        if not follower.silent and follower.ready and chance.random() < 0.4:
            ask()
    if follower.ready:
        ask()
        topics.commit(waiting, follower.position(), None)


def undisturbed(cuts: list[int]) -> list[Findings]:
    follower, found = Follower(SETTINGS, 0), []
    left = list(cuts)
    for offset, kind, value in log():
        with contextlib.suppress(ValueError):
            follower.take(offset, kind, value)
        if left and follower.next_offset == left[0]:
            left.pop(0)
            found += [findings for findings in follower.cut() if findings != Findings()]
    assert not left
    return found


def alerts(findings: list[Findings]) -> list[AlertEvent]:
    return [alert for one in findings for alert in one.alerts]


@given(st.integers(0, 10**9), st.lists(st.integers(0, 200), max_size=6))
@settings(max_examples=8)
def test_kills_at_any_step_change_nothing_that_is_told(seed: int, lives: list[int]) -> None:
    chance, topics = random.Random(seed), Topics()
    for lives_for in (*lives, 10**9):
        try:
            live(topics, chance, lives_for=lives_for)
        except KilledError:
            continue
    assert topics.findings == undisturbed(topics.cuts)
    told = alerts(topics.findings)
    assert {alert.status for alert in told} >= {"firing", "resolved"}
    assert max(Counter(alert.event_id for alert in told).values()) == 1
    assert {alert.rule for alert in told} == {"accuracy-low", "early"}


def follow(follower: Follower, until: int) -> list[Findings]:
    """Take in and ask at every progress, as far as an offset; return what is to be told."""
    found = []
    for offset, kind, value in log():
        if follower.next_offset <= offset < until:
            try:
                follower.take(offset, kind, value)
            except ValueError:
                continue
            if follower.due or (kind == messages.PROGRESS and (follower.anew or not follower.silent)):
                found += list(follower.cut())
                if follower.anew and not follower.silent:
                    found.append(follower.settle())
    return found


def test_another_version_derives_its_monitor_anew_and_tells_no_alert_again() -> None:
    firing_at = next(o for o, _, _ in log() if o > 3 * 4 * 26)
    first = Follower(SETTINGS, 0)
    before = alerts(follow(first, firing_at))
    other = Follower(SETTINGS, 0, replace(first.position(), fingerprint="another"))
    assert other.anew
    rest = alerts(follow(other, 10**9))
    assert first.position().firing, "an alert fires while the version changes"
    assert [a.event_id for a in before + rest] == [
        a.event_id for a in alerts(follow(Follower(SETTINGS, 0), 10**9))
    ]


@pytest.mark.parametrize("was_firing", [True, False])
def test_what_fires_differently_for_a_monitor_that_begins_anew_is_told_so(was_firing: bool) -> None:
    at = next(o for o, _, _ in log() if o > 3 * 4 * 26)
    first = Follower(SETTINGS, 0)
    follow(first, at)
    position = replace(first.position(), fingerprint="another")
    assert position.firing
    changed = replace(SETTINGS, rules=()) if was_firing else SETTINGS
    other = Follower(changed, 0, position if was_firing else replace(position, firing=()))
    told = alerts(follow(other, at))
    assert {a.status for a in told} == {"resolved" if was_firing else "firing"}
    assert {a.fingerprint for a in told} <= {a.fingerprint for a in position.firing}
    assert follow(other, at) == []
