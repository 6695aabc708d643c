"""Sending and the monitors of a worker on a real Kafka."""

import asyncio
import itertools
import json
import os
import time
from collections.abc import Callable

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition
from faust.types import TP

from schemas import messages
from schemas.findings import Progress, StreamTotals
from schemas.settings import MonitorSettings
from streams.monitor import Follower
from streams.worker import outgoing
from streams.worker.batches import BatchMessage, Records
from streams.worker.errors import SendFailedError
from streams.worker.monitor_runner import MonitorRunner
from streams.worker.published import published_alerts
from streams.worker.sending import Outgoing, Sender
from streams.worker.settings import TopicNames, WorkerSettings
from streams.worker.taking_up import Beginning

pytestmark = pytest.mark.kafka
_names = itertools.count()


def records_of(bootstrap: str, topic: str, partition: int = 0) -> list[tuple[bytes | None, bytes]]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "r", "enable.partition.eof": True})
    found = []
    try:
        consumer.assign([TopicPartition(topic, partition, 0)])
        while (message := consumer.poll(10)) is not None and not message.error():
            found.append((message.key(), message.value()))
        return found
    finally:
        consumer.close()


@pytest.fixture
def sender(kafka: str) -> Sender:
    return Sender({"bootstrap.servers": kafka})


def test_sending_returns_when_the_brokers_have_all_and_says_what_they_refuse(
    kafka: str, create_topic: Callable[..., str], sender: Sender
) -> None:
    topic = create_topic(f"out-{next(_names)}", 1, {"max.message.bytes": "100000"})

    async def run() -> None:
        try:
            await sender.send([Outgoing(topic, str(i).encode()) for i in range(2_000)])
            assert len(records_of(kafka, topic)) == 2_000
            with pytest.raises(SendFailedError, match=f"^{topic}: not delivered .*[Ll]arge"):
                await sender.send([Outgoing(topic, os.urandom(200_000))])  # does not compress
            assert await sender.partitions(topic) == 1
            with pytest.raises(
                SendFailedError, match=r"^nowhere: no such topic; `aftcast setup` creates it$"
            ):
                await sender.partitions("nowhere")
        finally:
            sender.close()

    asyncio.run(run())


class Feeding:
    """Stands for the consumer: the test hands the records over itself."""

    def __init__(self) -> None:
        self.acked = 0

    def caught_up(self, _tp: TP) -> bool:
        return True

    def handed_over(self, _tp: TP) -> int | None:
        return None

    def release(self, message: BatchMessage) -> None:
        pass

    def ack(self, _message: BatchMessage) -> bool:
        self.acked += 1
        return True


def record(offset: int, message: Outgoing) -> Records:
    return Records(np.array([offset]), np.array([0]), 1, [message.key], [message.value], [message.headers])


def test_a_monitor_without_a_journal_that_starts_again_sends_no_alert_a_second_time(
    kafka: str, create_topic: Callable[..., str], sender: Sender
) -> None:
    number = next(_names)
    topics = TopicNames(
        alerts=create_topic(f"alerts-{number}", 1), findings=create_topic(f"findings-{number}", 1)
    )
    options = {"bootstrap.servers": kafka}
    settings = WorkerSettings(options, topics=topics, monitor=MonitorSettings(), send_interval_s=0.05)
    minute_ms, base_ms = 60_000, 1_800_000_000_000
    told: list[Outgoing] = []
    for step in range(1, 4):  # half of all records cannot be used
        now_ms = base_ms + step * minute_ms
        told.append(outgoing.totals_message("t", StreamTotals(0, 1, now_ms, 1_000 * step, 500 * step)))
        told += outgoing.progress_messages("t", 1, Progress(0, 1, 1, now_ms, now_ms, True))
    tp = TP("pane-updates", 0)

    async def run_once() -> int:
        feeding = Feeding()
        published = await asyncio.to_thread(published_alerts, options, topics.alerts)
        beginning = Beginning(Follower(settings.monitor, 0), 0)
        runner = MonitorRunner(tp, beginning, settings, feeding, sender, published=published)
        task = asyncio.create_task(runner.run())
        for offset, message in enumerate(told):
            runner.put(BatchMessage(tp, record(offset, message), 0, 1))
        deadline_s = time.monotonic() + 20
        while feeding.acked < len(told) and not task.done():
            await asyncio.sleep(0.01)
            assert time.monotonic() < deadline_s
        assert feeding.acked == len(told)
        task.cancel()
        await asyncio.wait([task])
        return runner.alerts

    async def run() -> list[int]:
        try:
            return [await run_once(), await run_once()]
        finally:
            sender.close()

    assert asyncio.run(run()) == [1, 0]
    alerts = records_of(kafka, topics.alerts)
    assert len(alerts) == 1
    alert = messages.alert_of(json.loads(alerts[0][1]))
    assert (alert.status, alerts[0][0]) == ("firing", alert.fingerprint.encode())
