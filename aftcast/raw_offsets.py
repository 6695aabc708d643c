"""How far the raw role's consumer group has come, and where topics end."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from aftcast.group_offsets import GroupOffsets, Place

ANSWER_WITHIN_S = 10.0


class RawOffsets:
    """Asks the brokers; ``KafkaException`` where they do not answer."""

    def __init__(self, options: Mapping[str, str], group: str) -> None:
        self._options = dict(options)
        self._group = group
        quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda _error: None}
        self._admin = AdminClient({**options, **quiet})
        self._of_group = GroupOffsets({**options, **quiet}, group)

    def committed(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the group's next offset by place; places without one are left out."""
        return self._of_group.committed(places, ANSWER_WITHIN_S)

    def close(self) -> None:
        self._of_group.close()

    def ends(self, topics: Iterable[str]) -> dict[Place, int]:
        """Return the end of each partition of some topics, open transactions included."""
        wanted = {
            TopicPartition(topic, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for topic in topics
            for partition in self._admin.list_topics(topic, ANSWER_WITHIN_S).topics[topic].partitions
        }
        answers = self._admin.list_offsets(wanted, request_timeout=ANSWER_WITHIN_S)
        return {
            (place.topic, place.partition): answer.result(ANSWER_WITHIN_S).offset
            for place, answer in answers.items()
        }

    def are_read(self, places: Sequence[Place], committed: Mapping[Place, int]) -> bool:
        """Return whether no record is left at these places for one who reads committed data."""
        if not places:
            return True
        consumer = Consumer(
            {
                **self._options,
                "group.id": self._group + "-ends",  # needed, though no group is joined
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        try:
            consumer.assign([TopicPartition(*place, committed.get(place, 0)) for place in places])
            for _ in places:
                message = consumer.poll(ANSWER_WITHIN_S)
                if message is None:
                    return False
                error = message.error()
                if error is None:
                    return False
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
            return True
        finally:
            consumer.close()
