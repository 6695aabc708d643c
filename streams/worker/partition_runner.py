"""One partition of both inputs at work: aligned, decoded, joined, counted, and sent onward every second."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Protocol

import pyarrow as pa
import structlog
from faust.types import TP

from schemas.checkpoints import Checkpoint, LastRecord
from schemas.features import MOST_FEATURES
from schemas.findings import Progress, StreamTotals
from schemas.records import DecodedBatch, RawBatch
from streams.decode import Decoder
from streams.partition import PartitionStage
from streams.worker import outgoing
from streams.worker.alignment import SIDES, AlignedReader, Piece, Side
from streams.worker.batches import BatchMessage, raw_batch
from streams.worker.checkpoint_records import CheckpointRecords
from streams.worker.clock import Clock
from streams.worker.gap_troubles import GapTroubles
from streams.worker.last_records import last_of
from streams.worker.patient_decoding import PatientDecoding
from streams.worker.placement import KeyWatch
from streams.worker.restore_progress import RestoreProgress
from streams.worker.resuming import Start, last_record
from streams.worker.sending import Outgoing, Sender
from streams.worker.settings import WorkerSettings
from streams.worker.standing import Standing
from streams.worker.waiting import woken

IDLE_S = 0.05  # between two looks whether a topic without records is caught up by now
TICK_LAG_S = 0.5  # what a broker has stamped by now is fetched by then: two fetch waits and a margin
SENDS_PER_OPEN_FEATURES = 60  # about once a minute, for panes that are wider than that

log = structlog.get_logger("aftcast.partition")


class Reading(Protocol):
    """What a partition asks of the consumer."""

    def caught_up(self, tp: TP) -> bool: ...
    def handed_over(self, tp: TP) -> int | None: ...
    def release(self, message: BatchMessage) -> None: ...
    def ack(self, message: BatchMessage) -> bool: ...


class Sending(Protocol):
    async def send(self, messages: Sequence[Outgoing]) -> None: ...


Reread = Callable[[Checkpoint], AsyncGenerator[tuple[Side, RawBatch], None]]


class PartitionRunner:
    """The asyncio task of one input partition.

    Parameters
    ----------
    counts
        How many partitions the inputs have, and how many ``pane-updates``.
    start
        Where it begins: what waited at that checkpoint is read again before anything is sent.
    sender
        Sends each group of messages; with ``records`` whole or not at all.
    reread
        Yields what lies between the low water of a checkpoint and the checkpoint.
    records
        Writes the checkpoints that go with each group; None: none are kept.
    """

    def __init__(
        self,
        partition: int,
        counts: tuple[int, int],
        start: Start,
        settings: WorkerSettings,
        decoder: Decoder,
        clock: Clock,
        consumer: Reading,
        sender: Sender | Sending,
        reread: Reread,
        records: CheckpointRecords | None = None,
    ) -> None:
        topics = settings.topics
        self.partition = partition
        self.epoch = start.epoch
        self._input_partitions, self._update_partitions = counts
        self._settings = settings
        self._decoding = PatientDecoding(partition, decoder)
        self._clock = clock
        self._consumer = consumer
        self._sender = sender
        self._reread, self._resumed_at = reread, start.checkpoint
        self._records = records
        self._tps: dict[Side, TP] = {
            "inference": TP(topics.inference, partition),
            "labels": TP(topics.labels, partition),
        }
        self._stage = PartitionStage(
            partition,
            start.epoch,
            start.checkpoint.floor_ms,
            settings.join,
            settings.monitor,
            (topics.inference, topics.labels),
        )
        self._privacy = decoder.privacy
        self._keys = KeyWatch(
            (topics.inference, topics.labels),
            partition,
            counts[0],
            shows_keys=not decoder.privacy.hides_payload,
            knows_ids=not decoder.privacy.hides_ids,
        )
        self._reader: AlignedReader[BatchMessage] = AlignedReader()
        self._stage.resume_from(start.checkpoint, start.lost_until_ms)
        self._next = start.offsets
        self._received = dict(start.offsets)
        self._last = {side: last_record(start.checkpoint, side) for side in SIDES}
        self._disproved: dict[Side, LastRecord] = {}
        for side in SIDES:
            self._reader.start_at(side, start.offsets[side])
        self._reader.progress_at_least(start.checkpoint.inference_ms, start.checkpoint.labels_ms)
        self._seeks = 0
        self._applied: list[BatchMessage] = []
        self._progress = (0, 0, False)
        self._gaps = GapTroubles(partition, start)
        self._restored = RestoreProgress(partition, start.epoch, time.monotonic())
        self._checkpoints, self._checkpoint_ms = 0, 0
        self._one_send = asyncio.Lock()
        self._handed_back = False
        self._wake = asyncio.Event()
        self._stopping = False
        self._floors_raised = 0
        self._features_left_out = 0
        self._sends = 0

    def put(self, message: BatchMessage) -> None:
        """Take in a fetched batch; called by the agents."""
        side: Side = "inference" if message.tp == self._tps["inference"] else "labels"
        self._received[side] = message.next_offset
        self._reader.put(side, raw_batch(message.tp, message.records), message)
        self._wake.set()

    def resume(self) -> dict[TP, int]:
        """Drop what is pending; return where reading goes on after a rebalance that changed nothing here."""
        self._seeks += 1
        self._handed_back = False
        self._applied.clear()
        self._received = dict(self._next)
        for side, offset in self._next.items():
            self._reader.start_at(side, offset)
        return {self._tps[side]: offset for side, offset in self._next.items()}

    def limit_waiting(self, max_bytes: int) -> None:
        self._stage.limit_waiting(max_bytes)

    async def run(self) -> None:
        await self._restore()
        loop = asyncio.get_running_loop()
        send_at_s = loop.time()  # at once: that is when others see that somebody is at work here
        while not self._stopping:
            self._wake.clear()
            piece = self._reader.take(self._caught_up())
            if piece is not None:
                await self._apply(piece)
            if loop.time() >= send_at_s:
                await self.send()
                send_at_s = loop.time() + self._settings.send_interval_s
            if piece is None:
                await woken(self._wake, IDLE_S)
            else:
                await asyncio.sleep(0)
        await self.send()

    def stop(self) -> None:
        """Let ``run`` end after it has sent what is ready."""
        self._stopping = True
        self._wake.set()

    async def hand_back(self) -> None:
        """Send what is ready, then nothing until ``resume``: the partition may be somebody else's by now."""
        try:
            await self.send()
        finally:
            self._handed_back = True

    @property
    def last_read(self) -> dict[TP, LastRecord]:
        """The last record of each input that is applied; nothing before there is one."""
        return {self._tps[side]: last for side, last in self._last.items() if last is not None}

    async def disprove(self, tp: TP, last: LastRecord) -> bool:
        """Commit that ``last`` was read where the log holds another record now; False where it cannot.

        Whoever takes the partition over finds that the log is not the one that was read.
        """
        if self._records is None or self._stage.restoring or self._handed_back:
            return False
        self._disproved |= {side: last for side, each in self._tps.items() if each == tp}
        await self.send()
        return not self._handed_back

    async def send(self) -> None:
        """Send what changed with the checkpoint that covers it, then acknowledge; nothing while restoring."""
        async with self._one_send:
            inference_ms, labels_ms, caught_up = self._advance()
            self._tell_of_full_memory()
            if self._stage.restoring or self._handed_back:
                return
            seeks, applied, self._applied = self._seeks, self._applied, []
            await self._sender.send(self._told(inference_ms, labels_ms, caught_up))
            self._checkpoints, self._checkpoint_ms = self._checkpoints + 1, self._clock.now_ms()
            if seeks == self._seeks:
                for message in applied:
                    self._consumer.ack(message)

    def _told(self, inference_ms: int, labels_ms: int, caught_up: bool) -> list[Outgoing]:
        topics = self._settings.topics
        letters = map(self._privacy.letter, self._stage.take_dead_letters())
        told = [
            *outgoing.dead_letter_messages(topics.dead_letters, letters),
            *outgoing.pane_messages(topics.pane_updates, self._stage.take_changed()),
            *outgoing.feature_messages(topics.pane_updates, self._changed_features(inference_ms)),
            *self._gaps.messages(topics.pane_updates, min(inference_ms, labels_ms), self._clock.now_ms()),
        ]
        if min(inference_ms, labels_ms) > 0:
            # Last: progress says that the rows before it are all there is up to its time. Not before both
            # topics have a time: 1970 would make everything since then look silent.
            told += self._how_far(inference_ms, labels_ms, caught_up)
        told += self._troubles()
        if self._records is not None:
            last = self._last | self._disproved
            checkpoint = replace(
                self._stage.checkpoint(), inference_last=last["inference"], label_last=last["labels"]
            )
            told += self._records.messages(checkpoint, self._gaps.open)
        return told

    @property
    def standing(self) -> Standing:
        stage = self._stage
        inference_ms, labels_ms, caught_up = self._progress
        return Standing(
            counters=stage.counters,
            inference_ms=inference_ms,
            labels_ms=labels_ms,
            caught_up=caught_up,
            settled=not stage.restoring,
            pending_records=self._reader.pending_records,
            waiting_predictions=stage.predictions_in_memory,
            waiting_bytes=stage.waiting_bytes,
            pane_bytes=stage.pane_bytes,
            held_by=self._decoding.held_by,
            restored=stage.restored,
            epoch=self.epoch,
            floor_ms=stage.floor_ms,
            inference_offset=stage.next_inference_offset,
            label_offset=stage.next_label_offset,
            checkpoints=self._checkpoints,
            checkpoint_ms=self._checkpoint_ms,
            panes=stage.panes_in_memory,
        )

    def _tell_of_full_memory(self) -> None:
        raised = self._stage.counters.floors_raised_by_cap
        if raised > self._floors_raised:
            self._floors_raised = raised
            log.warning(
                "hot floor raised: waiting predictions reached their share of [join] max_waiting_memory; "
                "labels of older ones are left to the cold join",
                partition=self.partition,
                floor_ms=self._stage.floor_ms,
                waiting_bytes=self._stage.waiting_bytes,
            )

    def _changed_features(self, inference_ms: int) -> pa.RecordBatch:
        for feature in self._stage.features_left_out()[self._features_left_out :]:
            self._features_left_out += 1
            log.warning(
                "feature not counted: its model version has more than can be watched",
                partition=self.partition, model=feature.model, model_version=feature.model_version,
                feature=feature.name, counted=MOST_FEATURES,
            )  # fmt: skip
        # Nobody looks at features of a pane before it closes, and until then each event changes its rows.
        self._sends += 1
        with_open = self._sends % SENDS_PER_OPEN_FEATURES == 0
        return self._stage.take_changed_features(None if with_open else inference_ms)

    # -- inside --------------------------------------------------------------------------------------------

    def _caught_up(self) -> dict[Side, bool]:
        # What is handed over may still be on its way through the agent's buffer.
        return {
            side: self._consumer.caught_up(tp) and self._consumer.handed_over(tp) == self._received[side]
            for side, tp in self._tps.items()
        }

    def _advance(self) -> tuple[int, int, bool]:
        tick_ms = self._clock.now_ms() - int(TICK_LAG_S * 1000 * self._clock.speed)
        self._progress = self._reader.progress(max(0, tick_ms), self._caught_up())
        self._stage.advance(self._progress[0], self._progress[1])
        return self._progress

    def _how_far(self, inference_ms: int, labels_ms: int, caught_up: bool) -> list[Outgoing]:
        topic, counters = self._settings.topics.pane_updates, self._stage.counters
        join = counters.join
        progress = Progress(
            partition=self.partition,
            partitions=self._input_partitions,
            epoch=self.epoch,
            inference_ms=inference_ms,
            labels_ms=labels_ms,
            caught_up=caught_up,
            floor_ms=self._stage.floor_ms,
            inference_offset=self._stage.next_inference_offset,
            label_offset=self._stage.next_label_offset,
            unmatched=join.waiting + join.cold_labels + join.cold_predictions,
        )
        totals = StreamTotals(
            self.partition,
            self.epoch,
            min(inference_ms, labels_ms),
            counters.inference_read + counters.labels_read,
            counters.inference_dead_lettered + counters.labels_dead_lettered,
        )
        return [
            outgoing.totals_message(topic, totals),
            *outgoing.progress_messages(topic, self._update_partitions, progress),
        ]

    def _troubles(self) -> list[Outgoing]:
        found = self._keys.troubles(self._clock.now_ms(), self._stage.counters)
        for trouble in found:
            if not trouble.over:
                log.warning(trouble.kind, partition=self.partition, reason=trouble.summary)
        return [outgoing.trouble_message(self._settings.topics.pane_updates, one) for one in found]

    async def _restore(self) -> None:
        """Read again what waited at the checkpoint; what comes behind it stays in the reader meanwhile."""
        stage = self._stage
        if not stage.restoring:
            return
        _, of = stage.restored
        async with contextlib.aclosing(self._reread(self._resumed_at)) as batches:
            async for side, batch in batches:
                self._put_in(side, await self._decoding.decoded(side, batch))
                done = stage.restored[0] if stage.restoring else of
                self._restored.look((done, of), restoring=True, now_s=time.monotonic())
                await asyncio.sleep(0)
                if self._stopping:
                    return
        stage.end_restoring()
        self._restored.look((of, of), restoring=False, now_s=time.monotonic())

    def _put_in(self, side: Side, decoded: DecodedBatch) -> None:
        if side == "inference":
            self._stage.apply_inference(decoded)
        else:
            self._stage.apply_labels(decoded)

    async def _apply(self, piece: Piece[BatchMessage]) -> None:
        seeks = self._seeks
        decoded = await self._decoding.decoded(piece.side, piece.batch)
        if seeks != self._seeks:
            return  # a rebalance came between: it is fetched again
        self._put_in(piece.side, decoded)
        self._next[piece.side] = int(piece.batch.offsets[-1]) + 1
        self._last[piece.side] = last_of(piece.batch)
        self._keys.look(piece.side, piece.batch, decoded)
        if piece.token is not None:
            self._applied.append(piece.token)
            self._consumer.release(piece.token)
        self._advance()
