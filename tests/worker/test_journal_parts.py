"""What a journal gives back, and where watching begins when it does not fit what is there."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from faust.types import TP

from schemas.checkpoints import LastRecord
from schemas.findings import AlertEvent
from schemas.journal import JOURNAL_FORMAT, Position
from schemas.settings import MonitorSettings
from streams.monitor import Follower, fingerprint
from streams.worker.errors import WorkerError
from streams.worker.journal import POSITION_KEY, Journal, Packing, Recalled, digest_of, part_key, recalled
from streams.worker.sending import Outgoing
from streams.worker.taking_up import Beginning, take_up

TP_0 = TP("pane-updates", 0)
SETTINGS = MonitorSettings()
FIRING = AlertEvent("e1", "f1", "firing", "page", "r", "threshold", "m", 1, 2, 3, 4, "low")


class Written:
    """Keeps the newest value of each key that a journal writes, as a compacted topic does."""

    def __init__(self) -> None:
        self.newest: dict[bytes, bytes] = {}
        self.transactions: list[list[Outgoing]] = []

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self.transactions.append(list(messages))
        for message in messages:
            if message.topic == "journal":
                assert message.key is not None
                if message.value is None:
                    self.newest.pop(message.key, None)
                else:
                    self.newest[message.key] = message.value


def snapshot_of(follower: Follower) -> list[bytes]:
    packing = Packing()
    for piece in follower.snapshot():
        packing.add(piece)
    return packing.parts()


def begin(given: Recalled, *, first: int = 0, end: int = 100, again: LastRecord | None = None) -> Beginning:
    return asyncio.run(take_up(TP_0, first, end, given, SETTINGS, now_ms=7, again=again))


def stood_at(offset: int, *cuts: int, **more: Any) -> Position:
    return Position(offset, 10, cuts, fingerprint=fingerprint(SETTINGS), **more)


def test_a_smaller_snapshot_leaves_nothing_of_a_larger_one_behind() -> None:
    written = Written()
    journal = Journal({}, "journal", 0, written)  # type: ignore[arg-type]
    large, small = [b"a", b"b", b"c"], [b"d"]
    for parts in (large, small):
        position = stood_at(20, parts=len(parts), digest=digest_of(parts))
        asyncio.run(journal.write([], position, parts))
    assert written.newest.keys() == {POSITION_KEY, part_key(0)}
    assert recalled(written.newest, "j").snapshot == b"d"


def test_findings_position_and_snapshot_are_one_transaction() -> None:
    written = Written()
    journal = Journal({}, "journal", 3, written)  # type: ignore[arg-type]
    alert = Outgoing("alerts", b"x")
    asyncio.run(journal.write([alert], stood_at(20, parts=1), [b"a"]))
    (transaction,) = written.transactions
    assert [m.topic for m in transaction] == ["alerts", "journal", "journal"]
    assert {m.partition for m in transaction[1:]} == {3}


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_snapshot_whose_records_do_not_belong_together_is_not_used(damage: str) -> None:
    parts = [b"a", b"b"]
    found = {part_key(i): part for i, part in enumerate(parts)}
    position = stood_at(20, parts=2, digest=digest_of(parts), firing=(FIRING,))
    found[POSITION_KEY] = msgspec.json.encode(position)
    assert recalled(found, "j") == Recalled(position, b"ab")
    if damage == "missing":
        del found[part_key(1)]
    else:
        found[part_key(1)] = b"c"
    given = recalled(found, "j")
    assert given == Recalled(position, None)
    beginning = begin(given, first=4)
    assert (beginning.offset, beginning.follower.anew, beginning.lost) == (4, True, False)


def test_of_a_position_in_another_format_offset_and_what_fires_are_kept() -> None:
    document = {"format": JOURNAL_FORMAT + 1, "offset": 20, "firing": msgspec.to_builtins((FIRING,)), "x": 1}
    given = recalled({POSITION_KEY: json.dumps(document).encode()}, "j")
    assert given.position is not None
    assert (given.position.offset, given.position.firing) == (20, (FIRING,))
    follower = begin(given).follower
    assert (follower.anew, follower.again_until) == (True, 20)


@pytest.mark.parametrize("value", [b"{", b"{}", b'{"format": 1, "offset": "x"}', b'{"format": 2}', b"[]"])
def test_a_position_that_says_nothing_stops_the_worker_rather_than_telling_alerts_again(value: bytes) -> None:
    with pytest.raises(WorkerError, match=r"^j: expected a position of format 1, .*delete the journal topic"):
        recalled({POSITION_KEY: value}, "j")


def test_without_a_journal_watching_begins_with_the_log() -> None:
    beginning = begin(Recalled(), first=4)
    assert (beginning.offset, beginning.follower.anew, beginning.follower.silent) == (4, False, False)


def test_messages_since_the_snapshot_are_gone_over_up_to_the_last_that_was_told() -> None:
    beginning = begin(Recalled(stood_at(30, 15, 20, 30)))
    follower = beginning.follower
    assert (beginning.offset, follower.silent, follower.again_until, beginning.lost) == (10, True, 30, False)


def test_a_log_that_no_longer_reaches_back_is_named_and_the_rest_is_gone_over() -> None:
    beginning = begin(Recalled(stood_at(30, 15, 20, 30)), first=18)
    assert beginning.lost
    assert beginning.trouble is not None
    assert beginning.trouble.summary.startswith("pane-updates[0] begins at offset 18, and 10 is needed: ")
    assert (beginning.offset, beginning.follower.again_until) == (18, 30)
    assert begin(Recalled(stood_at(30, 30)), first=40).follower.position().offset == 40


def test_a_log_that_ends_before_the_position_is_another_one_and_watched_from_its_beginning() -> None:
    beginning = begin(Recalled(stood_at(30, 30)), end=29)
    assert beginning.lost
    assert (beginning.offset, beginning.follower.silent, beginning.follower.anew) == (0, False, False)
    assert not begin(Recalled(stood_at(30, 30)), end=30).lost


def test_a_log_that_holds_another_record_where_one_was_watched_is_another_one() -> None:
    last = LastRecord(29, 5, 77)
    given = Recalled(stood_at(30, 30, last=last))
    beginning = begin(given, again=replace(last, crc32=78))
    assert beginning.lost
    assert beginning.trouble is not None
    assert "[0] holds another record at offset 29 than the one watched there: " in beginning.trouble.summary
    assert (beginning.offset, beginning.follower.silent, beginning.follower.anew) == (0, False, False)
    for again in (last, None):  # None: expired, as it may
        same = begin(given, again=again)
        assert (same.lost, same.follower.again_until, same.last) == (False, 30, last)


def test_a_monitor_that_was_written_down_is_taken_up_again() -> None:
    follower = Follower(SETTINGS, 10)
    parts = snapshot_of(follower)
    follower.snapshot_taken(len(parts), digest_of(parts))
    given = Recalled(follower.position(), b"".join(parts))
    assert not begin(given).follower.anew
    assert begin(replace(given, snapshot=b"".join(parts)[:-9])).follower.anew
