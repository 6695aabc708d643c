"""What a consumer group has committed, asked for as one of its members would ask.

Not through an AdminClient: librdkafka's goes through a null pointer, and the process with it, when a broker
says that it does not coordinate the group, as brokers do while they start (librdkafka's issue 5040).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

Place = tuple[str, int]  # topic and partition


class GroupOffsets:
    """Asks the brokers, and joins no group; ``KafkaException`` where they do not answer."""

    def __init__(self, options: Mapping[str, Any], group: str) -> None:
        self._consumer = Consumer({**options, "group.id": group, "enable.auto.commit": False})

    def committed(self, places: Iterable[Place], within_s: float) -> dict[Place, int]:
        """Return the group's next offset by place; places without one are left out."""
        found = self._consumer.committed([TopicPartition(*place) for place in places], within_s)
        for place in found:
            if place.error is not None:
                raise KafkaException(place.error)
        return {(place.topic, place.partition): place.offset for place in found if place.offset >= 0}

    def close(self) -> None:
        self._consumer.close()
