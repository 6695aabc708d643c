"""Where partitions stand, as Kafka has it: the newest checkpoints, ends of logs, what groups committed."""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from aftcast.failure import Failure
from aftcast.group_offsets import GroupOffsets, Place
from aftcast.kafka_entry import Refusals, quiet_options
from streams.worker.checkpoint_records import CHECKPOINT_KEY

ANSWER_WITHIN_S = 8.0
READ_WITHIN_S = 20.0
TAIL = 500  # offsets of each partition of the state, ten times as many at each further look


class KeptCheckpoint(msgspec.Struct, frozen=True):
    """What a person wants to know of a checkpoint; the record holds more."""

    partition: int
    epoch: int
    inference_offset: int
    label_offset: int
    inference_low: int
    label_low: int
    inference_ms: int
    labels_ms: int
    floor_now_ms: int = 0
    format: int = 1


class StateReader:
    """Asks one Kafka; ``Failure`` with the broker's words where it does not answer."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._refusals = Refusals()
        self._quiet: dict[str, Any] = {**options, **quiet_options(self._refusals)}
        self._admin = AdminClient(self._quiet)

    def partitions(self, topic: str) -> int:
        try:
            found = self._admin.list_topics(topic, ANSWER_WITHIN_S).topics[topic]
        except KafkaException as error:
            self._admin.poll(0)
            words, address = self._refusals.words(error), self._quiet["bootstrap.servers"]
            raise Failure(f"Kafka: not reachable at {address} ({words})") from None
        if found.error is not None or not found.partitions:
            raise Failure(f"Kafka: topic {topic} does not exist; create it: aftcast setup")
        return len(found.partitions)

    def ends(self, places: list[Place]) -> dict[Place, int]:
        """Return where logs end."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(*place): latest for place in places}
        try:
            futures = self._admin.list_offsets(asked, request_timeout=ANSWER_WITHIN_S)
            return {(at.topic, at.partition): future.result().offset for at, future in futures.items()}
        except KafkaException as error:
            raise Failure(f"Kafka: ends of topics cannot be read ({_words(error)})") from None

    def committed(self, group: str, places: list[Place]) -> dict[Place, int]:
        """Return what a group has committed; nothing if there is no such group."""
        asked = GroupOffsets(self._quiet, group)
        try:
            return asked.committed(places, ANSWER_WITHIN_S)
        except KafkaException as error:
            raise Failure(f"Kafka: offsets of {group} cannot be read ({_words(error)})") from None
        finally:
            asked.close()

    def checkpoints(self, topic: str) -> dict[int, tuple[KeptCheckpoint, int]]:
        """Return the newest committed checkpoint by partition, and when it was written (milliseconds)."""
        options = {"group.id": "aftcast-state-reader", "enable.auto.commit": False}
        consumer = Consumer(
            {**self._quiet, **options, "enable.partition.eof": True, "isolation.level": "read_committed"}
        )
        found: dict[int, tuple[KeptCheckpoint, int]] = {}
        try:
            logs = {
                partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_WITHIN_S)
                for partition in range(self.partitions(topic))
            }
            back = TAIL
            while left := {p: log for p, log in logs.items() if p not in found and log[0] < log[1]}:
                _read_newest(consumer, topic, left, back, found)
                for partition, (low, high) in left.items():
                    if high - back <= low:  # read to its beginning
                        del logs[partition]
                back *= 10
        except KafkaException as error:
            raise Failure(f"Kafka: {topic} cannot be read ({_words(error)})") from None
        finally:
            consumer.close()
        return found


def _read_newest(
    consumer: Consumer,
    topic: str,
    logs: Mapping[int, tuple[int, int]],
    back: int,
    found: dict[int, tuple[KeptCheckpoint, int]],
) -> None:
    consumer.assign([TopicPartition(topic, p, max(low, high - back)) for p, (low, high) in logs.items()])
    left = set(logs)
    ends_s = time.monotonic() + READ_WITHIN_S
    while left:
        if time.monotonic() > ends_s:
            raise Failure(f"Kafka: {topic} was not read within {READ_WITHIN_S:g} s")
        for message in consumer.consume(1_000, 0.5):
            error, partition = message.error(), message.partition()
            if error is not None:
                if error.name() != "_PARTITION_EOF":
                    raise KafkaException(error)
                left.discard(partition or 0)
            elif message.key() == CHECKPOINT_KEY and (value := message.value()) is not None:
                checkpoint = msgspec.json.decode(value, type=KeptCheckpoint)
                found[partition or 0] = checkpoint, message.timestamp()[1]


def _words(error: KafkaException) -> str:
    return str(error.args[0].str()).strip().lower()
