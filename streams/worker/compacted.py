"""Reads one partition of a compacted topic: the newest committed value of each key."""

from collections.abc import Callable, Mapping

from confluent_kafka import Consumer, TopicPartition

from streams.worker.errors import WorkerError

READ_WITHIN_S = 30.0
BATCH = 10_000
TAIL = 2_000  # offsets; a transaction's mark takes one too

Seen = Callable[[int, int], None]


def read_newest(
    kafka: Mapping[str, str],
    topic: str,
    partition: int,
    *,
    enough: Callable[[Mapping[bytes, bytes]], bool] | None = None,
    seen: Seen | None = None,
) -> dict[bytes, bytes]:
    """Return the newest committed value by key, keys with a tombstone left out; blocks.

    Parameters
    ----------
    enough
        Tells whether what a look at the end of the log found will do; otherwise the look goes ten times
        further back, in the end to the beginning. None: read all of it.
    seen
        Told how many offsets are read and how many there are, for showing progress.

    Raises
    ------
    WorkerError
        If the partition cannot be read, or not within ``READ_WITHIN_S`` without any answer.
    """
    options = {"group.id": "aftcast-state-reader", "enable.auto.commit": False, "enable.partition.eof": True}
    options |= {"fetch.wait.max.ms": 10}  # the end of the log is told by an answer that is empty
    consumer = Consumer(
        {**kafka, **options, "isolation.level": "read_committed", "auto.offset.reset": "error"}
    )
    try:
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), READ_WITHIN_S)
        back = end - first if enough is None else TAIL
        while True:
            start = max(first, end - back)
            found = _read(consumer, TopicPartition(topic, partition, start), end, seen)
            if start == first or (enough is not None and enough(found)):
                return found
            back *= 10
    finally:
        consumer.close()


def _read(consumer: Consumer, place: TopicPartition, end: int, seen: Seen | None) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    if place.offset >= end:
        return found
    start = place.offset
    consumer.assign([place])
    while True:
        # consume() would wait for a whole batch, and the end of the log is no batch.
        first = consumer.poll(READ_WITHIN_S)
        if first is None:
            raise WorkerError(f"{place.topic}[{place.partition}]: not read within {READ_WITHIN_S:g} s")
        for message in (first, *consumer.consume(BATCH, 0)):
            error, offset = message.error(), message.offset() or 0
            if error is None and offset >= end:
                return found  # somebody goes on writing; what was there is read
            if error is None:
                key, value = message.key() or b"", message.value()
                if value is None:
                    found.pop(key, None)
                else:
                    found[key] = value
                if seen is not None:
                    seen(offset + 1 - start, end - start)
            elif error.name() == "_PARTITION_EOF":
                return found
            else:
                raise WorkerError(f"{place.topic}[{place.partition}]: cannot be read ({error.str()})")
