"""One partition of pane-updates at work: rows and progress go in, drift, states and alerts come out."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import structlog
from faust.types import TP

from schemas import messages
from streams.monitor import Findings
from streams.monitor.gauges import VersionFigures
from streams.worker import outgoing
from streams.worker.batches import BatchMessage, Records, raw_batch
from streams.worker.journal import Journal, Packing, digest_of
from streams.worker.last_records import last_of
from streams.worker.partition_runner import IDLE_S, Reading, Sending
from streams.worker.sending import Outgoing
from streams.worker.settings import WorkerSettings
from streams.worker.taking_up import Beginning
from streams.worker.waiting import woken

RECORDS_PER_STEP = 50  # of pane-updates, up to 900 kB each
FIGURES_EVERY_S = 30.0  # of a hundred versions they take 0.2 s, and a pane closes each minute
SAID_EVERY_S = 5.0  # between two lines about how far it has gone over what was told before

log = structlog.get_logger("aftcast.monitor")


class MonitorRunner:
    """The asyncio task of one partition of pane-updates.

    Parameters
    ----------
    beginning
        The monitor as its journal tells of it, or a new one.
    sender
        For findings where there is no journal.
    journal
        Holds what was told, in one transaction with it; None: ``published`` are the ids of the alert events
        that were told before, which the monitor will find again.
    """

    def __init__(
        self,
        tp: TP,
        beginning: Beginning,
        settings: WorkerSettings,
        consumer: Reading,
        sender: Sending,
        journal: Journal | None = None,
        *,
        published: set[str] | None = None,
    ) -> None:
        self._tp = tp
        self._settings = settings
        self._consumer = consumer
        self._sender = sender
        self._journal = journal
        self._published = published
        self._follower = beginning.follower
        self._trouble, self._gap_told = beginning.trouble, False
        self._last = beginning.last
        self._pending: list[BatchMessage] = []
        self._seeks = 0
        self._wake = asyncio.Event()
        self._ours, self._one_ask = asyncio.Event(), asyncio.Lock()
        self._ours.set()
        # A monitor that begins anew, or behind a gap, needs a snapshot: its past cannot be had again.
        self._snapshot_due = self._follower.anew or beginning.lost
        self._read_bytes = 0
        self._written_s = self._snapshot_s = self._said_s = 0.0
        self._summed_up_s = float("-inf")
        self.drifts = 0
        self.alerts = 0
        # Read by the thread that answers Prometheus: made anew each time, never changed.
        self.figures: tuple[VersionFigures, ...] = ()
        self.mature_until_ms: Mapping[str, int] = {}

    def put(self, message: BatchMessage) -> None:
        self._pending.append(message)
        self._wake.set()

    @property
    def next_offset(self) -> int:
        return self._follower.next_offset

    def resume(self) -> int:
        """Drop what is pending; return where reading goes on after a rebalance that changed nothing here."""
        self._seeks += 1
        self._pending.clear()
        self._ours.set()
        return self.next_offset

    async def hand_back(self) -> None:
        """Tell nothing more until ``resume``: the partition may be somebody else's by now."""
        self._ours.clear()
        async with self._one_ask:
            pass

    async def close(self) -> None:
        """Undo what is not committed; ``run`` must have ended."""
        if self._journal is not None:
            await asyncio.to_thread(self._journal.close)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._written_s = self._snapshot_s = self._said_s = loop.time()
        ask_at_s = loop.time() + self._settings.send_interval_s
        absorbed: list[BatchMessage] = []
        await self._begun()
        while True:
            self._wake.clear()
            seeks = self._seeks
            if self._pending:
                message = self._pending.pop(0)
                await self._absorb(message.records, seeks)
                if seeks == self._seeks:
                    absorbed.append(message)
                    self._consumer.release(message)
            if loop.time() >= ask_at_s:
                await self._ask()
                for message in absorbed:
                    self._consumer.ack(message)
                absorbed.clear()
                ask_at_s = loop.time() + self._settings.send_interval_s
            if not self._pending:
                await woken(self._wake, IDLE_S)

    async def _absorb(self, records: Records, seeks: int) -> None:
        follower = self._follower
        for at, (offset, value) in enumerate(zip(records.offsets.tolist(), records.values, strict=True)):
            if seeks != self._seeks:
                return
            try:
                follower.take(
                    offset, messages.header_of(records.headers[at] if records.headers else ()), value
                )
            except (ValueError, msgspec.MsgspecError, OSError) as error:
                # Another version wrote it, or somebody else: nothing of ours may be lost for it.
                log.warning(
                    "message skipped", topic=self._tp.topic, partition=self._tp.partition,
                    offset=offset, reason=str(error),
                )  # fmt: skip
            self._read_bytes += len(value or b"")
            if follower.due:
                await self._ask()
            if at % RECORDS_PER_STEP == RECORDS_PER_STEP - 1:
                await asyncio.sleep(0)
        if len(records):
            self._last = last_of(raw_batch(self._tp, records))

    async def _ask(self) -> None:
        """Find what follows from what was taken in, and tell it, unless it was told before."""
        await self._ours.wait()
        async with self._one_ask:
            await self._find()

    async def _find(self) -> None:
        follower = self._follower
        # Where it goes over what was told before, it is asked when it was asked then.
        if follower.due or (follower.ready and (follower.anew or not follower.silent)):
            silent = follower.silent
            parts = []
            # Step by step: a day of panes is seconds of work, and heartbeats cannot wait for it.
            for findings in follower.cut():
                if self._journal is None:
                    await self._tell(findings)
                else:
                    parts.append(findings)
                await asyncio.sleep(0)
            if silent:
                self._say_how_far()
                await self._begun()
            elif self._journal is not None:
                await self._tell(Findings.of(parts))
        if not follower.silent and not follower.ready:
            await self._write_down()
        if not follower.silent:
            await self._sum_up()

    async def _sum_up(self) -> None:
        """Keep the newest figures for who asks for metrics, version by version: there may be hundreds."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._summed_up_s < FIGURES_EVERY_S:
            return
        found = []
        for one in self._follower.monitor.newest_figures():
            found.append(one)
            await asyncio.sleep(0)
        self.figures, self.mature_until_ms = tuple(found), self._follower.mature_until_ms
        self._summed_up_s = now_s

    async def _begun(self) -> None:
        """Tell what differs in the eyes of a monitor that began anew, once it is where the old one was."""
        if self._follower.anew and not self._follower.silent:
            await self._tell(self._follower.settle())

    async def _tell(self, findings: Findings) -> None:
        known = self._published
        alerts = [a for a in findings.alerts if known is None or a.event_id not in known]
        topics = self._settings.topics
        told = [
            *outgoing.finding_messages(topics.findings, findings),
            *outgoing.alert_messages(topics.alerts, alerts),
        ]
        if self._journal is None:
            await self._sender.send(told)
        elif told or self._snapshot_due:
            await self._write(told)
        if known is not None:
            known.update(alert.event_id for alert in alerts)
        self.drifts += len(findings.drifts)
        self.alerts += len(alerts)
        for alert in alerts:
            log.info("alert", status=alert.status, rule=alert.rule, model=alert.model, summary=alert.summary)

    async def _write_down(self) -> None:
        if self._journal is None:
            return
        now_s, settings = asyncio.get_running_loop().time(), self._settings
        if (
            now_s - self._snapshot_s >= settings.snapshot_interval_s
            or self._read_bytes >= settings.snapshot_after_bytes
        ):
            self._snapshot_due = True
        if self._snapshot_due or now_s - self._written_s >= settings.journal_interval_s:
            await self._write([])

    async def _write(self, told: list[Outgoing]) -> None:
        assert self._journal is not None  # noqa: S101
        loop, follower = asyncio.get_running_loop(), self._follower
        parts = None
        if self._snapshot_due:
            packing = Packing()
            for piece in follower.snapshot():
                packing.add(piece)
                await asyncio.sleep(0)
            parts = packing.parts()
            follower.snapshot_taken(len(parts), digest_of(parts))
        await self._journal.write(
            [*told, *self._about_gap(whole=parts is not None)],
            replace(follower.position(), last=self._last),
            parts,
        )
        self._written_s = loop.time()
        if parts is not None:
            self._snapshot_due, self._read_bytes, self._snapshot_s = False, 0, self._written_s

    def _about_gap(self, *, whole: bool) -> list[Outgoing]:
        """Return the trouble about what was never seen, and at the snapshot after it that it is over."""
        trouble = self._trouble
        if trouble is None or (self._gap_told and not whole):
            return []
        self._trouble = None if self._gap_told or trouble.over else trouble
        told = replace(trouble, over=trouble.over or self._gap_told)
        self._gap_told = True
        return [outgoing.trouble_message(self._settings.topics.pane_updates, told)]

    def _say_how_far(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._said_s >= SAID_EVERY_S:
            self._said_s = now_s
            follower = self._follower
            log.info(
                "going over what was told before", partition=self._tp.partition,
                offset=follower.next_offset, until=follower.again_until,
            )  # fmt: skip
