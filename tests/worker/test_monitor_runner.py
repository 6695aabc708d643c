"""A monitor at work on what the test hands it, with the event loop of others beside it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from faust.types import TP

from schemas import messages
from schemas.findings import Progress, Trouble
from schemas.panes import PANE_COLUMNS
from streams.monitor import Follower
from streams.worker import outgoing
from streams.worker.batches import BatchMessage, Records
from streams.worker.monitor_runner import MonitorRunner
from streams.worker.sending import Outgoing
from streams.worker.settings import WorkerSettings
from streams.worker.taking_up import Beginning

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
    async with asyncio.timeout(20):
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
