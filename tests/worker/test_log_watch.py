"""A log that does not hold any more what was read from it ends the worker; nothing else does."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from faust.types import TP

from schemas.checkpoints import LastRecord
from streams.worker import log_watch
from streams.worker.errors import LogReplacedError, StateError
from streams.worker.log_watch import LogWatch

A, B = TP("in", 0), TP("in", 1)
READ, OTHER = LastRecord(7, 1_000, 1), LastRecord(7, 2_000, 2)


class Partition:
    """At work on one log; keeps what it is told is gone."""

    def __init__(self, tp: TP, *, ours: bool = True) -> None:
        self.last_read: Mapping[TP, LastRecord] = {tp: READ}
        self.gone: list[TP] = []
        self._ours = ours

    async def disprove(self, tp: TP, last: LastRecord) -> bool:
        assert last == READ
        self.gone.append(tp)
        return self._ours


class Ends:
    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, 0)

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, 50)


class LookedEnoughError(Exception):
    """Ends a watch that has looked as often as the test wants."""


class Logs:
    """What the logs hold where records were read, look by look; an error where there is one."""

    def __init__(self, *looks: Mapping[TP, LastRecord] | StateError) -> None:
        self.left = list(looks)

    def again(self, _kafka: object, lasts: Mapping[TP, object], *_: object) -> Mapping[TP, LastRecord]:
        if not self.left:
            raise LookedEnoughError
        found = self.left.pop(0)
        if isinstance(found, StateError):
            raise found
        return {tp: record for tp, record in found.items() if tp in lasts}


def watch(at_work: Callable[[], Mapping[int, Partition]], logs: Logs, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(log_watch, "records_again", logs.again)
    asyncio.run(LogWatch({}, at_work).run(Ends, 0.001))


def test_all_that_is_gone_is_remembered_before_the_worker_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = {0: Partition(A), 1: Partition(B)}
    logs = Logs({A: READ, B: READ}, {A: OTHER, B: OTHER})
    with pytest.raises(LogReplacedError, match=r"^in\[0\]@7, in\[1\]@7: the log holds another record"):
        watch(lambda: at_work, logs, monkeypatch)
    assert [each.gone for each in at_work.values()] == [[A], [B]]


def test_what_expired_or_cannot_be_asked_for_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Partition(A)
    with pytest.raises(LookedEnoughError):
        watch(lambda: {0: one}, Logs({}, StateError("no answer"), {A: READ}), monkeypatch)
    assert one.gone == []


def test_a_partition_that_may_be_somebody_elses_ends_nobody_and_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Partition(A, ours=False)
    with pytest.raises(LookedEnoughError):
        watch(lambda: {0: one}, Logs({A: OTHER}, {A: OTHER}), monkeypatch)
    assert one.gone == [A, A]


def test_what_an_earlier_life_of_a_partition_had_read_is_not_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lives = [Partition(A), Partition(A), Partition(A)]
    with pytest.raises(IndexError):  # no life is left, and in none was a log asked
        watch(lambda: {0: lives.pop()}, Logs(), monkeypatch)
    assert lives == []
