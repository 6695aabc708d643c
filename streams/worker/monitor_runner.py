"""One partition of pane-updates at work: rows and progress go in, drift, states and alerts come out."""

import asyncio
import contextlib
import json
from collections.abc import Mapping

import msgspec
import structlog
from confluent_kafka import Consumer, TopicPartition
from faust.types import TP

from schemas import messages
from schemas.findings import LifecycleEvent, Progress, StreamTotals, Trouble
from streams.monitor import Findings, Monitor
from streams.worker import outgoing
from streams.worker.batches import BatchMessage, Records
from streams.worker.errors import WorkerError
from streams.worker.partition_runner import IDLE_S, Reading, Sending
from streams.worker.sending import Sender
from streams.worker.settings import WorkerSettings
from streams.worker.waiting import woken

READ_WITHIN_S = 30.0
RECORDS_PER_STEP = 50  # of pane-updates, up to 900 kB each

log = structlog.get_logger("aftcast.monitor")


class MonitorRunner:
    """The asyncio task of one partition of pane-updates.

    ``published`` are the ids of alert events already on the topic: a restart derives them again from the
    rows, and sends none of them twice.
    """

    def __init__(
        self,
        tp: TP,
        offset: int,
        settings: WorkerSettings,
        consumer: Reading,
        sender: Sender | Sending,
        published: set[str],
    ) -> None:
        self._tp = tp
        self._settings = settings
        self._consumer = consumer
        self._sender = sender
        self._published = published
        self._monitor = Monitor(settings.monitor)
        self._progress: dict[int, Progress] = {}
        self._pending: list[BatchMessage] = []
        self._seeks = 0
        self._wake = asyncio.Event()
        self.next_offset = offset
        self.drifts = 0
        self.alerts = 0

    def put(self, message: BatchMessage) -> None:
        self._pending.append(message)
        self._wake.set()

    @property
    def mature_until_ms(self) -> dict[str, int]:
        """Up to when each model is mature, those aside whose horizon is being learnt."""
        return self._monitor.mature_until_ms()

    def resume(self) -> int:
        self._seeks += 1
        self._pending.clear()
        return self.next_offset

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        advance_at_s = loop.time() + self._settings.send_interval_s
        absorbed: list[BatchMessage] = []
        while True:
            self._wake.clear()
            seeks = self._seeks
            if self._pending:
                message = self._pending.pop(0)
                await self._absorb(message.records, seeks)
                if seeks == self._seeks:
                    absorbed.append(message)
                    self._consumer.release(message)
            if loop.time() >= advance_at_s and self._progress:
                await self._advance()
                for message in absorbed:
                    self._consumer.ack(message)
                absorbed.clear()
                advance_at_s = loop.time() + self._settings.send_interval_s
            if not self._pending:
                await woken(self._wake, IDLE_S)

    async def _absorb(self, records: Records, seeks: int) -> None:
        for at, (offset, value) in enumerate(zip(records.offsets.tolist(), records.values, strict=True)):
            if seeks != self._seeks:
                return
            try:
                self._take(messages.header_of(records.headers[at] if records.headers else ()), value)
            except (ValueError, msgspec.MsgspecError, OSError) as error:
                # Another version wrote it, or somebody else: nothing of ours may be lost for it.
                log.warning(
                    "message skipped", topic=self._tp.topic, partition=self._tp.partition,
                    offset=offset, reason=str(error),
                )  # fmt: skip
            self.next_offset = offset + 1
            if at % RECORDS_PER_STEP == RECORDS_PER_STEP - 1:
                await asyncio.sleep(0)

    def _take(self, kind: bytes | None, value: bytes | None) -> None:
        if value is None:
            raise ValueError("no value")
        if kind == messages.PANES:
            self._monitor.absorb(messages.decode_panes(value))
        elif kind == messages.FEATURES:
            self._monitor.absorb_features(messages.decode_features(value))
        elif kind == messages.PROGRESS:
            progress = messages.decode(value, Progress)
            known = self._progress.get(progress.partition)
            if known is None or progress.epoch >= known.epoch:
                self._progress[progress.partition] = progress
        elif kind == messages.TOTALS:
            self._monitor.absorb_totals(messages.decode(value, StreamTotals))
        elif kind == messages.TROUBLE:
            self._monitor.absorb_trouble(messages.decode(value, Trouble))
        elif kind == messages.LIFECYCLE:
            event = messages.decode(value, LifecycleEvent)
            self._monitor.absorb_lifecycle(event.model, event.model_version, event.timestamp_ms, event.kind)

    async def _advance(self) -> None:
        # Step by step: a day of panes is seconds of work, and heartbeats cannot wait for it.
        for progress in self._monitor.steps(tuple(self._progress.values())):
            await self._tell(self._monitor.advance(progress))
            await asyncio.sleep(0)

    async def _tell(self, findings: Findings) -> None:
        alerts = [alert for alert in findings.alerts if alert.event_id not in self._published]
        topics = self._settings.topics
        await self._sender.send(
            [
                *outgoing.finding_messages(topics.findings, findings),
                *outgoing.alert_messages(topics.alerts, alerts),
            ]
        )
        self._published.update(alert.event_id for alert in alerts)
        self.drifts += len(findings.drifts)
        self.alerts += len(alerts)
        for alert in alerts:
            log.info("alert", status=alert.status, rule=alert.rule, model=alert.model, summary=alert.summary)


def published_alerts(kafka: Mapping[str, str], topic: str) -> set[str]:
    """Return the ids of all alert events that a topic holds; blocks, so call it on another thread."""
    options = {"group.id": "aftcast-alerts", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({**kafka, **options, "auto.offset.reset": "earliest"})
    try:
        places = []
        for partition in consumer.list_topics(topic, READ_WITHIN_S).topics[topic].partitions:
            place = TopicPartition(topic, partition)
            start, end = consumer.get_watermark_offsets(place, timeout=READ_WITHIN_S)
            if start < end:
                places.append(TopicPartition(topic, partition, start))
        found: set[str] = set()
        left = len(places)
        if left:
            consumer.assign(places)
        while left:
            message = consumer.poll(READ_WITHIN_S)
            if message is None:
                raise WorkerError(f"{topic}: alerts already sent not read within {READ_WITHIN_S:g} s")
            error, value = message.error(), message.value()
            if error is not None:
                if error.name() != "_PARTITION_EOF":
                    raise WorkerError(f"{topic}: cannot be read ({error.str()})")
                left -= 1
            elif value:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    found.add(str(json.loads(value)["event_id"]))
        return found
    finally:
        consumer.close()
