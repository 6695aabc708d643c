"""Reads a topic for people: all that is there, or what comes, without a group and without commits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from aftcast.failure import Failure
from aftcast.kafka_entry import Refusals, quiet_options

ANSWER_WITHIN_S = 8.0
_POLL_S = 0.5


def values(options: Mapping[str, str], topic: str, *, from_beginning: bool, follow: bool) -> Iterator[bytes]:
    """Yield the values of a topic's records, as ``records`` does."""
    for record in records(options, (topic,), from_beginning=from_beginning, follow=follow):
        if (value := record.value()) is not None:
            yield value


def records(
    options: Mapping[str, str], topics: Sequence[str], *, from_beginning: bool, follow: bool
) -> Iterator[Message]:
    """Yield the records of topics, those of each partition in their order.

    Parameters
    ----------
    options
        Of the client, ``bootstrap.servers`` among them.
    from_beginning
        Whether what is there already is read, or only what comes.
    follow
        Whether to wait for more; otherwise it ends where the topics ended when they were opened.

    Raises
    ------
    Failure
        If no broker answers or there is no such topic.
    """
    refusals = Refusals()
    # Assigned by hand: the group is never joined.
    group: dict[str, Any] = {"group.id": "aftcast-reader", "enable.auto.commit": False}
    consumer = Consumer({**options, **group, **quiet_options(refusals)})
    names = ", ".join(topics)
    try:
        places = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in _partitions(consumer, topic, options["bootstrap.servers"], refusals)
        ]
        ends = {} if follow else _ends(consumer, places)
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        read = [(p.topic, p.partition) for p in places] if follow else list(ends)
        consumer.assign([TopicPartition(topic, partition, start) for topic, partition in read])
        while follow or ends:
            message = consumer.poll(_POLL_S)
            _drop_ended(consumer, ends)
            if message is None:
                continue
            if error := message.error():
                raise Failure(f"Kafka: {names} cannot be read ({error.str().lower()})")
            yield message
    except KafkaException as error:
        raise Failure(f"Kafka: {names} cannot be read ({error.args[0].str().lower()})") from None
    finally:
        consumer.close()


def _ends(consumer: Consumer, places: list[TopicPartition]) -> dict[tuple[str, int], int]:
    marks = {
        (p.topic, p.partition): consumer.get_watermark_offsets(p, timeout=ANSWER_WITHIN_S) for p in places
    }
    return {place: high for place, (low, high) in marks.items() if high > low}


def _drop_ended(consumer: Consumer, ends: dict[tuple[str, int], int]) -> None:
    # Positions, not messages: the last record may be a transaction's marker, which is never delivered.
    if ends:
        for place in consumer.position([TopicPartition(*place) for place in ends]):
            if place.offset >= ends[place.topic, place.partition]:
                del ends[place.topic, place.partition]


def _partitions(consumer: Consumer, topic: str, address: str, refusals: Refusals) -> list[int]:
    try:
        metadata = consumer.list_topics(topic, timeout=ANSWER_WITHIN_S).topics[topic]
    except KafkaException as error:
        consumer.poll(0)
        raise Failure(f"Kafka: not reachable at {address} ({refusals.words(error)})") from None
    if metadata.error is not None or not metadata.partitions:
        raise Failure(f"Kafka: topic {topic} does not exist; create it: aftcast setup")
    return sorted(metadata.partitions)
