"""Which alert events a topic holds already: for a monitor without a journal, which finds them all again."""

import contextlib
import json
from collections.abc import Mapping

from confluent_kafka import Consumer, TopicPartition

from streams.worker.errors import WorkerError

READ_WITHIN_S = 30.0


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
