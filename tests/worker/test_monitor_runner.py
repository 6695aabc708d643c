"""A monitor at work on what the test hands it, with the event loop of others beside it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from faust.types import TP

from schemas import messages
from schemas.findings import Progress, Trouble
from schemas.panes import PANE_COLUMNS
from schemas.settings import RuleSettings
from streams.monitor import Follower, fingerprint
from streams.worker import outgoing
from streams.worker.batches import BatchMessage, Records
from streams.worker.errors import FencedError
from streams.worker.journal import Journal, part_key, recalled
from streams.worker.monitor_runner import MonitorRunner
from streams.worker.sending import Outgoing
from streams.worker.settings import WorkerSettings
from streams.worker.taking_up import Beginning, take_up

UPDATES = TP("pane-updates", 0)
DAY_MS, BEGIN_MS = 86_400_000, 1_800_000_000_000
SETTINGS = WorkerSettings({"bootstrap.servers": "nowhere"}, send_interval_s=0.01)


def begin() -> Beginning:
    return Beginning(Follower(SETTINGS.monitor, 0), 0)


class Hands:
    """The consumer and the sender of a test."""

    def __init__(self) -> None:
        self.acked: list[int] = []
        self.finished = asyncio.Event()
        self.sent: list[Outgoing] = []

    def caught_up(self, _tp: TP) -> bool:
        return True

    def handed_over(self, _tp: TP) -> int | None:
        return None

    def release(self, message: BatchMessage) -> None:
        pass

    def ack(self, message: BatchMessage) -> bool:
        self.acked.append(message.offset)
        self.finished.set()
        return True

    async def send(self, outgoing: Sequence[Outgoing]) -> None:
        self.sent += outgoing


def pane(start_ms: int) -> pa.RecordBatch:
    given: dict[str, Any] = {"model": "fraud", "pane_start": start_ms, "predictions": 10, "strings": 10}
    columns = []
    for field in PANE_COLUMNS:
        empty = [] if pa.types.is_map(field.type) or pa.types.is_list(field.type) else 0
        value = given.get(field.name, "" if pa.types.is_string(field.type) else empty)
        columns.append(pa.array([value], field.type))
    return pa.RecordBatch.from_arrays(columns, schema=PANE_COLUMNS)


def told(*sent: Outgoing | tuple[bytes, None]) -> BatchMessage:
    """Return messages of pane-updates as fetched; (kind, None) is one without a value."""
    parts = [
        (m[1], ((messages.KIND_HEADER, m[0]),)) if isinstance(m, tuple) else (m.value, m.headers)
        for m in sent
    ]
    count = len(parts)
    records = Records(
        np.arange(count), np.full(count, BEGIN_MS), 1, [None] * count,
        [value for value, _ in parts], [headers for _, headers in parts],
    )  # fmt: skip
    return BatchMessage(UPDATES, records, 0, 1)


def progress(time_ms: int) -> Outgoing:
    (message,) = outgoing.progress_messages("t", 1, Progress(0, 1, 1, time_ms, time_ms, True))
    return message


async def work(runner: MonitorRunner, hands: Hands, message: BatchMessage) -> None:
    task = asyncio.create_task(runner.run())
    runner.put(message)
    async with asyncio.timeout(60):
        await hands.finished.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_a_day_of_panes_due_at_once_is_walked_with_turns_for_others_between() -> None:
    hands = Hands()
    runner = MonitorRunner(UPDATES, begin(), SETTINGS, hands, hands, published=set())
    advance, turns_at, turns = runner._follower.monitor.advance, [], 0

    def noted(progress: Sequence[Progress]) -> Any:
        turns_at.append(turns)
        return advance(progress)

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def run() -> None:
        counting = asyncio.create_task(count_turns())
        rows = outgoing.pane_messages("t", pane(BEGIN_MS))
        await work(runner, hands, told(*rows, progress(BEGIN_MS + DAY_MS)))
        counting.cancel()

    runner._follower.monitor.advance = noted  # type: ignore[method-assign]
    asyncio.run(run())
    assert len(turns_at) > 24
    assert len(set(turns_at)) == len(turns_at), "two steps in one turn of the event loop"
    assert hands.acked == [0]


def test_a_message_that_cannot_be_read_is_passed_over() -> None:
    hands = Hands()
    runner = MonitorRunner(UPDATES, begin(), SETTINGS, hands, hands, published=set())
    damaged = Outgoing("t", b"{", None, ((messages.KIND_HEADER, messages.PANES),))
    asyncio.run(work(runner, hands, told((messages.PANES, None), damaged, progress(BEGIN_MS))))
    assert (hands.acked, runner.next_offset) == ([0], 3)


def test_a_trouble_becomes_an_alert_though_not_every_partition_was_heard() -> None:
    hands = Hands()
    runner = MonitorRunner(UPDATES, begin(), SETTINGS, hands, hands, published=set())
    trouble = outgoing.trouble_message("t", Trouble("partitioner", "label-events", "placed by CRC32", 5))
    (one_of_two, _) = outgoing.progress_messages("t", 2, Progress(0, 2, 1, BEGIN_MS, BEGIN_MS, True))
    asyncio.run(work(runner, hands, told(trouble, one_of_two)))
    (alert,) = (json.loads(message.value) for message in hands.sent if message.topic == "alert-events")
    assert (alert["kind"], alert["status"], alert["summary"]) == ("partitioner", "firing", "placed by CRC32")
    assert trouble.partition == 0


class Topics:
    """The transactions of a journal, kept as topics keep them; one that holds alerts may fail."""

    def __init__(self) -> None:
        self.newest: dict[bytes, bytes] = {}
        self.alerts: list[str] = []
        self.snapshots = 0
        self.fails_at: str | None = None

    async def send(self, sent: Sequence[Outgoing]) -> None:
        alerts = [json.loads(m.value or b"") for m in sent if m.topic == SETTINGS.topics.alerts]
        if alerts and self.fails_at == "before":
            raise FencedError("taken over")
        self.snapshots += any(m.key == part_key(0) and m.value for m in sent)
        for message in sent:
            if message.topic == SETTINGS.topics.journal:
                assert message.key
                self.newest[message.key] = message.value or b""
        self.alerts += [alert["status"] for alert in alerts]
        if alerts and self.fails_at == "after":
            raise FencedError("taken over")


QUIET = told(progress(BEGIN_MS))
BAD = Trouble("partitioner", "label-events", "placed by CRC32", 5)
LATER = told(*[progress(BEGIN_MS)] * 2, outgoing.trouble_message("t", BAD), progress(BEGIN_MS + 1_000))
EAGER = replace(SETTINGS, journal_interval_s=0.0, snapshot_interval_s=0.0)


async def live(topics: Topics, messages: list[BatchMessage], settings: WorkerSettings) -> asyncio.Task[None]:
    """Take up what is in the journal, work on messages until all are acknowledged or it fails, then end."""
    hands = Hands()
    journal = Journal({}, settings.topics.journal, 0, topics)  # type: ignore[arg-type]
    known = recalled(topics.newest, "j")
    beginning = await take_up(UPDATES, 0, 9, known, settings.monitor, BEGIN_MS)
    runner = MonitorRunner(UPDATES, beginning, settings, hands, hands, journal)
    task = asyncio.create_task(runner.run())
    for message in messages:
        hands.finished.clear()
        runner.put(fetched(message, beginning.offset))
        waiting = asyncio.create_task(hands.finished.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=20)
        waiting.cancel()
    task.cancel()
    await asyncio.wait([task])
    return task


@pytest.mark.parametrize("fails_at", ["before", "after"])
def test_a_monitor_that_ends_around_a_transaction_is_taken_up_and_tells_the_alert_once(fails_at: str) -> None:
    topics = Topics()

    async def run() -> None:
        await live(topics, [QUIET], EAGER)
        assert topics.snapshots
        topics.fails_at = fails_at
        failed = await live(topics, [LATER], EAGER)
        assert isinstance(failed.exception(), FencedError)
        assert topics.alerts == ([] if fails_at == "before" else ["firing"])
        topics.fails_at = None
        await live(topics, [LATER], EAGER)

    asyncio.run(run())
    assert topics.alerts == ["firing"]
    assert recalled(topics.newest, "j").position.offset == 4  # type: ignore[union-attr]


def test_after_an_upgrade_a_monitor_is_derived_anew_and_written_down_and_tells_nothing_again() -> None:
    topics = Topics()
    rule = RuleSettings("few", "predictions", below=1.0)
    other = replace(EAGER, monitor=replace(EAGER.monitor, rules=(rule,)))
    asyncio.run(live(topics, [LATER], EAGER))
    before = recalled(topics.newest, "j").position
    asyncio.run(live(topics, [LATER], other))
    after = recalled(topics.newest, "j").position
    assert before is not None
    assert after is not None
    assert topics.alerts == ["firing"]
    assert before.fingerprint != after.fingerprint == fingerprint(other.monitor)
    assert (after.offset, after.parts, after.firing) == (4, 1, before.firing)
    assert len(after.firing) == 1


def fetched(message: BatchMessage, offset: int) -> BatchMessage:
    """Return what a fetch from an offset on returns of a message's records."""
    return BatchMessage(UPDATES, message.records.since(offset), 0, 1)
