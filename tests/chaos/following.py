"""What a consumer of committed data sees of our topics, as it comes; and whole topics, read once."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from schemas import messages
from schemas.findings import Progress

READ_WITHIN_S = 30.0
COMMITTED = {"enable.auto.commit": False, "isolation.level": "read_committed", "log_level": 0}
PaneKey = tuple[str, str, str, int, int]  # model, version, segment, start in ms, partition


class Follower(threading.Thread):
    """Keeps the newest row of each pane and partition, and all dead letters and alerts in their order."""

    def __init__(self, bootstrap: str, pane_updates: str, dead_letters: str, alerts: str) -> None:
        super().__init__(name="follower", daemon=True)
        self.rows: dict[PaneKey, tuple[int, pa.RecordBatch]] = {}
        self.totals: dict[PaneKey, tuple[int, int, int]] = {}
        self.letters: list[dict[str, Any]] = []
        self.alerts: list[dict[str, Any]] = []
        self.progress: dict[int, Progress] = {}
        self.failure: BaseException | None = None
        self._topics = pane_updates, dead_letters, alerts
        self._servers = bootstrap
        self._ended = threading.Event()

    def close(self) -> None:
        self._ended.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def counted(self) -> tuple[int, int, int]:
        """Return predictions, labelled pairs and repeats of all panes."""
        known = list(self.totals.values())
        return tuple(sum(column) for column in zip(*known, strict=True)) if known else (0, 0, 0)

    def run(self) -> None:
        consumer = Consumer({"bootstrap.servers": self._servers, "group.id": "follower", **COMMITTED})
        try:
            consumer.assign(list(_places(consumer, self._topics)))
            while not self._ended.is_set():
                for message in consumer.consume(500, 0.2):
                    if message.error() is None:
                        self._take(message)
                    elif message.error().fatal():
                        self.failure = RuntimeError(message.error().str())
                        return
        except BaseException as error:
            self.failure = error
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        pane_updates, dead_letters, _ = self._topics
        if message.topic() == dead_letters:
            self.letters.append(json.loads(message.value()))
        elif message.topic() != pane_updates:
            self.alerts.append(json.loads(message.value()))
        else:
            kind = messages.header_of(message.headers())
            if kind == messages.PANES:
                self._keep(messages.decode_panes(message.value()))
            elif kind == messages.PROGRESS:
                progress = messages.decode(message.value(), Progress)
                self.progress[progress.partition] = progress

    def _keep(self, batch: pa.RecordBatch) -> None:
        names = ("model", "model_version", "segment", "pane_start", "partition", "revision")
        columns = [batch.column(name) for name in (*names, "predictions", "labelled", "duplicates")]
        columns[3] = columns[3].cast(pa.int64())
        for at, row in enumerate(zip(*(column.to_pylist() for column in columns), strict=True)):
            key, revision, counts = row[:5], row[5], row[6:]
            if key not in self.rows or revision >= self.rows[key][0]:
                self.rows[key] = revision, batch.slice(at, 1)
                if not key[2]:
                    self.totals[key] = counts


def _places(consumer: Consumer, topics: tuple[str, ...]) -> Iterator[TopicPartition]:
    for topic in topics:
        for partition in consumer.list_topics(topic, READ_WITHIN_S).topics[topic].partitions:
            yield TopicPartition(topic, partition, OFFSET_BEGINNING)


def whole(bootstrap: str, topic: str) -> Iterator[Message]:
    """Yield every record of a topic, partition by partition in offset order."""
    options = {"bootstrap.servers": bootstrap, "group.id": "whole", "enable.partition.eof": True, **COMMITTED}
    consumer = Consumer(options)
    try:
        for place in _places(consumer, (topic,)):
            consumer.assign([place])
            while True:
                message = consumer.poll(READ_WITHIN_S)
                if message is None:
                    raise RuntimeError(f"{topic}: not read within {READ_WITHIN_S:g} s")
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    break
    finally:
        consumer.close()
