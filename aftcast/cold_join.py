"""The cold join beside the raw role: hears progress, waits for raw rows, publishes what panes add up to."""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from confluent_kafka import KafkaException

from aftcast.configuration import Configuration
from aftcast.passes import Passes
from aftcast.raw_offsets import RawOffsets
from schemas.findings import Progress
from sinks.clickhouse.client import Client
from sinks.clickhouse.errors import ClickHouseError
from sinks.cold import ColdJoiner, ColdSettings, Reached
from sinks.cold.joiner import Rows
from sinks.cold.reached import Following
from sinks.cold.store import ColdStore, RawPanes
from streams.cold import ColdRows, join_cold
from streams.worker.errors import WorkerError
from streams.worker.outgoing import feature_messages, pane_messages
from streams.worker.sending import Outgoing
from streams.worker.transactions import Transactions, transaction_pool

LONGEST_PASS_S = 5.0  # between two looks whether the raw role has come as far
TRANSACTION_BYTES = 16_000_000  # a second's work, where a transaction may take ten


class ColdThread(Passes):
    """Follows a raw writer, and works while that one reads partition 0 of pane-updates.

    All progress comes to every partition of pane-updates, so one process of the group has the turn.
    """

    def __init__(self, configuration: Configuration, open_client: Callable[[], Client]) -> None:
        join = configuration.join
        self._pass_s = min(LONGEST_PASS_S, join.cold_interval_ms / 1000)
        away = (ClickHouseError, WorkerError, KafkaException)
        # Hot figures do not hang on it.
        super().__init__("cold", "the cold join waits", away, self._pass_s)
        topics = configuration.topics
        self._configuration = configuration
        self._open_client = open_client
        self._own = [topics.pane_updates, topics.dead_letters]
        self._offsets = RawOffsets(configuration.kafka.client_options(), configuration.kafka.group + "-raw")
        self._following = Following(topics.inference, topics.labels)
        self._heard: list[Progress] = []
        self._lock = threading.Lock()
        self._has_turn = False
        self._client: Client | None = None
        self._publisher: _Publisher | None = None
        self._held_at_s = float("-inf")
        self._monitor = configuration.monitor_settings()
        self._settings = ColdSettings(
            configuration.panes.width_ms,
            join.cold_interval_ms,
            implicit_after_ms={
                name: model.implicit_after_ms
                for name, model in configuration.models.items()
                if model.implicit_label is not None
            },
        )
        self.joiner = ColdJoiner(self._settings, self._compute, self._publish)

    @property
    def has_turn(self) -> bool:
        """Whether this is the process of the group that works on what is there once."""
        return self._has_turn

    # -- called by the raw writer --------------------------------------------------------------------------

    def assigned(self, places: Collection[tuple[str, int]]) -> None:
        self._has_turn = (self._own[0], 0) in places

    def written(self, progress: Sequence[Progress]) -> None:
        """Take in progress whose block is in ClickHouse."""
        with self._lock:
            self._heard += progress

    # -- its own thread ------------------------------------------------------------------------------------

    def run(self) -> None:
        super().run()
        self._offsets.close()

    def work(self) -> float:
        with self._lock:
            heard, self._heard = self._heard, []
        self._following.hear(heard)
        if not self._has_turn:
            self.disconnect()
        elif moment := self._written_moment():
            self._join(*moment)
        return self._pass_s

    def _written_moment(self) -> tuple[Reached, Collection[int]] | None:
        """Return the moment that is held, and where events found no partner, once the raw role is as far."""
        following = self._following
        if not following.waits:
            due_s = self._held_at_s + self._settings.interval_ms / 1000
            if not following.is_complete or time.monotonic() < due_s:
                return None
            following.hold(self._offsets.ends(self._own))
            self._held_at_s = time.monotonic()
        committed = self._offsets.committed(following.places)
        short = following.short_of(committed)
        inputs = [place for place in short if place[0] not in self._own]
        # Behind the last record of a topic of ours stand marks of transactions, which are no records.
        return None if inputs or not self._offsets.are_read(short, committed) else following.take(committed)

    def _join(self, reached: Reached, restless: Collection[int]) -> None:
        try:
            if self._client is None:
                self._connect()
            self.joiner.run(reached, restless, time.time_ns() // 1_000_000, self._goes_on)
        except Exception:
            self._following.unsettle(restless)
            raise

    def _goes_on(self) -> bool:
        return self._has_turn and not self.stopping.is_set()

    def _connect(self) -> None:
        self._client = self._open_client()
        configuration = self._configuration
        database, topic = configuration.clickhouse.database, configuration.topics.inference
        self.joiner.connect(ColdStore(self._client, database, topic, self._settings.pane_width_ms))

    def disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None

    def count_retry(self) -> None:
        self.joiner.counters.retries += 1

    def _compute(self, raw: RawPanes, reached: Reached) -> ColdRows:
        return join_cold(
            raw.pieces,
            raw.counted,
            raw.counted_features,
            monitor=self._monitor,
            as_of_ms=reached.as_of_ms,
            bound=reached.bound,
        )

    def _publish(self, rows: Rows) -> None:
        if self._publisher is None:
            options = self._configuration.kafka.client_options()
            self._publisher = _Publisher(
                Transactions(options, self._configuration.kafka.group + "-cold", transaction_pool())
            )
        for messages in _portions(messages_of(self._own[0], rows)):
            self._publisher.send(messages)


class _Publisher:
    """Transactions for a thread that has no event loop."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        asyncio.run(transactions.claim())

    def send(self, messages: Sequence[Outgoing]) -> None:
        asyncio.run(self._transactions.send(messages))

    def close(self) -> None:
        self._transactions.close()


def messages_of(topic: str, rows: Rows) -> Iterator[list[Outgoing]]:
    """Yield the messages of each pane: its full row and the zero rows it replaces travel together."""
    features = dict(_by_pane(rows.features))
    for start, panes in _by_pane(rows.panes):
        told = list(pane_messages(topic, panes))
        if start in features:
            told += feature_messages(topic, features[start])
        yield told


def _by_pane(rows: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    starts = np.asarray(rows.column("pane_start").cast(pa.int64()))
    edges = [0, *(np.flatnonzero(np.diff(starts)) + 1).tolist(), len(starts)]
    for begin, end in pairwise(edges):
        if begin < end:
            yield int(starts[begin]), rows.slice(begin, end - begin)


def _portions(panes: Iterator[list[Outgoing]]) -> Iterator[list[Outgoing]]:
    portion: list[Outgoing] = []
    size = 0
    for messages in panes:
        portion += messages
        size += sum(len(message.value or b"") for message in messages)
        if size >= TRANSACTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
