"""Copies the topics into ClickHouse by a consumer group of its own: nothing lost, nothing doubled.

Offsets are committed only after the rows are there, and a row replaces its equal, so a crash in between or a
server that died after taking a block leaves no trace. While ClickHouse is away one block is kept and the
partitions are paused: memory stays bounded, and detection, which never reads ClickHouse, goes on.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.findings import Progress
from sinks.clickhouse.client import Client
from sinks.clickhouse.errors import UnreachableError
from sinks.clickhouse.writers import Writer
from sinks.raw_blocks import Block, Decoder, Message, RawTopics, build_block, count_rows
from sinks.raw_lag import CatchUp, RawLag

POLL_S = 0.1
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
COMMITTED_WITHIN_S = 10.0
# Slow answers for several tables in a row must not add up to the five minutes that a member may be silent.
SILENT_S = 30.0
ENDS_EVERY_S = 5.0  # while ClickHouse is away nothing is fetched that would tell where the logs end
ENDS_WITHIN_S = 1.0
# A broker answers once it has so much or that time is over, instead of once for each batch of each producer.
FETCH_MIN_BYTES = 1 << 20
FETCH_WAIT_MS = 100
QUEUE_KB = 32_768  # of fetched records inside librdkafka; its default of 64 MB is more than a block needs


@dataclass(frozen=True, slots=True)
class RawWriterSettings:
    """What the raw role goes by.

    ``kafka`` holds librdkafka's connection properties. A block ends with ``block_rows`` records,
    ``block_bytes`` bytes of values, or ``block_age_s`` after the block before it, whichever comes first: a
    record after a silence does not wait.
    """

    kafka: Mapping[str, str] = field(repr=False)  # holds passwords
    topics: RawTopics = field(default_factory=RawTopics)
    group: str = "aftcast-raw"
    database: str = "aftcast"
    block_rows: int = 50_000
    block_bytes: int = 64_000_000
    block_age_s: float = 0.5  # rows are visible within 2 s, of which the stream takes one before it sends


@dataclass(slots=True)
class RawCounters:
    """Running totals since the start, which any thread may read.

    Every record read is either ``written``, so that its rows are in ClickHouse, or ``waiting``. ``skipped``
    and ``unreadable`` count records, ``rows`` the rows per table, ``gaps`` the holes found in the log.
    ``lag`` is how far the tables are behind the topics. ``turned_s`` is when it last fetched, on the
    monotonic clock; ``waits_for`` names what is away, while a block is kept for it.
    """

    read: int = 0
    written: int = 0
    blocks: int = 0
    retries: int = 0
    skipped: int = 0
    unreadable: int = 0
    gaps: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    lag: RawLag = field(default_factory=RawLag)
    assigned: bool = False
    turned_s: float = field(default_factory=time.monotonic)
    waits_for: str = ""

    @property
    def waiting(self) -> int:
        return self.read - self.written


class Follower(Protocol):
    """Who wants to know how far the raw role has come; called on the raw role's thread."""

    def assigned(self, places: Collection[tuple[str, int]]) -> None:
        """Hear which partitions of which topics this process reads from now on."""

    def written(self, progress: Sequence[Progress]) -> None:
        """Hear the stream's progress whose block is in ClickHouse."""


class RawWriter:
    """Moves records from topics to tables until it is told to stop.

    Parameters
    ----------
    client_factory
        Opens ClickHouse; called again after each time it was away.
    decoder
        Reads the records of the input topics.
    wait_for
        What the decoder raises when it cannot judge records now, such as while the registry is away.
    follower
        Told of assignments and of progress.
    """

    def __init__(
        self,
        settings: RawWriterSettings,
        client_factory: Callable[[], Client],
        decoder: Decoder,
        wait_for: tuple[type[Exception], ...] = (),
        follower: Follower | None = None,
    ) -> None:
        self.counters = RawCounters()
        self._settings = settings
        self._client_factory = client_factory
        self._client: Client | None = None
        self._decoder = decoder
        self._away: tuple[type[Exception], ...] = (UnreachableError, *wait_for)
        self._follower = follower
        self._held: list[Message] = []
        self._waiting = False
        self._last_block_s = float("-inf")
        self._catch_up = CatchUp()
        self._ends_s = self._polled_s = float("-inf")
        self._log = structlog.get_logger("aftcast.raw")

    def run(self, stop: threading.Event) -> None:
        """Copy until ``stop`` is set; what is not written by then is read again by the next start.

        Raises
        ------
        RefusedError
            If ClickHouse says no, for instance because the tables are not there.
        KafkaException
            If the group is fenced or the brokers refuse.
        """
        consumer = Consumer(
            {
                "auto.offset.reset": "error",  # a gap is never silent
                "fetch.min.bytes": FETCH_MIN_BYTES,
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "queued.max.messages.kbytes": QUEUE_KB,
                **self._settings.kafka,
                "group.id": self._settings.group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        topics = self._settings.topics
        consumer.subscribe([getattr(topics, name) for name in topics.__slots__], on_assign=self._assigned)
        try:
            while not stop.is_set():
                messages = self._gather(consumer, stop)
                if messages:
                    self._deliver(consumer, messages, stop)
                    self._tell_lag(consumer)
        finally:
            consumer.close()
            self._disconnect()

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assign(consumer, partitions)
        self.counters.assigned = True
        if self._follower is not None:
            self._follower.assigned({(place.topic, place.partition) for place in partitions})

    def _assign(self, consumer: Consumer, positions: list[TopicPartition]) -> None:
        unknown = [position for position in positions if position.offset < 0]
        if unknown:
            committed = {}
            for found in consumer.committed(unknown, COMMITTED_WITHIN_S):
                if found.error is not None:
                    raise KafkaException(found.error)
                committed[found.topic, found.partition] = found.offset
            for position in unknown:
                offset = committed[position.topic, position.partition]
                position.offset = offset if offset >= 0 else OFFSET_BEGINNING
        consumer.assign(positions)
        lag = self.counters.lag
        lag.assigned([(position.topic, position.partition) for position in positions])
        for position in positions:
            with contextlib.suppress(KafkaException):  # a figure for people
                low, high = consumer.get_watermark_offsets(position, ENDS_WITHIN_S)
                lag.starts((position.topic, position.partition), max(position.offset, low))
                lag.ends((position.topic, position.partition), high)
        if self._waiting:
            consumer.pause(positions)

    def _gather(self, consumer: Consumer, stop: threading.Event) -> list[Message]:
        settings = self._settings
        messages, self._held = self._held, []
        size = sum(len(message.value() or b"") for message in messages)
        while not stop.is_set() and len(messages) < settings.block_rows and size < settings.block_bytes:
            left_s = self._last_block_s + settings.block_age_s - time.monotonic()
            if messages and left_s <= 0:
                break
            wait_s = min(POLL_S, left_s) if messages else POLL_S
            fetched = self._usable(consumer, consumer.consume(settings.block_rows - len(messages), wait_s))
            size += sum(len(message.value() or b"") for message in fetched)
            messages += fetched
            self.counters.read += len(fetched)
        self._last_block_s = self._polled_s = time.monotonic()
        return messages

    def _usable(self, consumer: Consumer, fetched: Sequence[Any]) -> list[Message]:
        self.counters.turned_s = time.monotonic()
        messages = []
        for message in fetched:
            error: KafkaError | None = message.error()
            if error is None:
                messages.append(message)
                place = message.topic(), message.partition()
                self.counters.lag.fetched(place, message.offset() + 1, message.timestamp()[1])
            elif error.code() == KafkaError._PARTITION_EOF:
                self.counters.lag.read_to_end((message.topic(), message.partition()), message.offset())
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                self._skip_gap(consumer, message)
            elif error.fatal():
                raise KafkaException(error)
            else:
                self._log.warning("kafka: " + error.str(), topic=message.topic())
        return messages

    def _skip_gap(self, consumer: Consumer, message: Any) -> None:
        place = TopicPartition(message.topic(), message.partition())
        (committed,) = consumer.committed([place], COMMITTED_WITHIN_S)
        low, high = consumer.get_watermark_offsets(place, COMMITTED_WITHIN_S)
        self.counters.gaps += 1
        self._log.error(
            f"{place.topic}[{place.partition}]: expected offset {committed.offset}, the log holds {low} to "
            f"{high}; what lies between is missing from ClickHouse, going on at {low}"
        )
        # Not a seek: librdkafka has stopped this partition, and ignores one.
        positions = consumer.position(consumer.assignment())
        for position in positions:
            if (position.topic, position.partition) == (place.topic, place.partition):
                position.offset = low
        self._assign(consumer, positions)

    def _deliver(self, consumer: Consumer, messages: list[Message], stop: threading.Event) -> None:
        block: Block | None = None
        written: set[str] = set()
        pause_s = FIRST_RETRY_S
        while True:
            try:
                if block is None:
                    block = build_block(messages, self._settings.topics, self._decoder)
                self._write(consumer, block, written)
                break
            except self._away as error:
                self.counters.retries += 1
                self.counters.waits_for = str(error)
                self._disconnect()
                self._log.warning(
                    f"{error}; a block of {len(messages)} records kept, retrying in {pause_s:g} s"
                )
                if stop.is_set() or not self._wait(consumer, pause_s, stop):
                    return
                pause_s = min(2 * pause_s, LONGEST_RETRY_S)
        self.counters.waits_for = ""
        self._commit(consumer, block)
        self._count(block)
        if self._follower is not None and block.progress:
            self._follower.written(block.progress)

    def _tell_lag(self, consumer: Consumer, *, ask: bool = False) -> None:
        """Note where the logs end, by what fetches told or by asking; show the progress of a backlog."""
        lag = self.counters.lag
        for place in consumer.assignment():
            with contextlib.suppress(KafkaException):
                _, high = (
                    consumer.get_watermark_offsets(place, ENDS_WITHIN_S)
                    if ask
                    else consumer.get_watermark_offsets(place, cached=True)
                )
                lag.ends((place.topic, place.partition), high)
        told = self._catch_up.look(time.monotonic(), self.counters.written, lag.records)
        if told is not None:
            self._log.info(
                "catching up", records_left=told.records_left, share=round(told.share, 3),
                records_per_s=round(told.records_per_s),
                seconds_left=None if told.seconds_left is None else round(told.seconds_left),
            )  # fmt: skip

    def _write(self, consumer: Consumer, block: Block, written: set[str]) -> None:
        if self._client is None:
            self._client = self._client_factory()
        writer = Writer(self._client, self._settings.database)
        for table, rows in block.tables.items():
            if table not in written:
                writer.write(table, rows)
                written.add(table)
                if time.monotonic() - self._polled_s > SILENT_S:
                    with self._paused(consumer):
                        self._poll(consumer, 0)

    def _wait(self, consumer: Consumer, pause_s: float, stop: threading.Event) -> bool:
        """Wait as a member of the group, without fetching; False when told to stop."""
        with self._paused(consumer):
            ends_s = time.monotonic() + pause_s
            while (left_s := ends_s - time.monotonic()) > 0 and not stop.is_set():
                self._poll(consumer, min(POLL_S, left_s))
                if time.monotonic() - self._ends_s > ENDS_EVERY_S:
                    self._tell_lag(consumer, ask=True)
                    self._ends_s = time.monotonic()
        return not stop.is_set()

    @contextlib.contextmanager
    def _paused(self, consumer: Consumer) -> Iterator[None]:
        self._waiting = True
        try:
            consumer.pause(consumer.assignment())
            yield
        finally:
            self._waiting = False
            consumer.resume(consumer.assignment())

    def _poll(self, consumer: Consumer, for_s: float) -> None:
        """Poll as a member of the group must, while paused; what was on its way is held."""
        fetched = self._usable(consumer, consumer.consume(1, for_s))
        self.counters.read += len(fetched)
        self._held += fetched
        self._polled_s = time.monotonic()

    def _commit(self, consumer: Consumer, block: Block) -> None:
        offsets = [TopicPartition(*place, offset) for place, offset in block.next_offsets.items()]
        try:
            results = consumer.commit(offsets=offsets, asynchronous=False)
            refusals = {result.error.str() for result in results if result.error is not None}
        except KafkaException as error:
            refusals = {error.args[0].str()}
        if refusals:
            # Whoever owns the partitions now reads these records again, and their rows replace these.
            self._log.warning(
                f"kafka: offsets not committed ({', '.join(sorted(refusals))}); they are read again"
            )

    def _count(self, block: Block) -> None:
        counters = self.counters
        for place, next_offset in block.next_offsets.items():
            counters.lag.written(place, next_offset)
        counters.blocks += 1
        counters.written += block.records
        counters.skipped += block.skipped
        counters.unreadable += len(block.unreadable)
        counters.rows.update(count_rows(block))
        for line in block.unreadable:
            self._log.warning(f"{line}; not written")
