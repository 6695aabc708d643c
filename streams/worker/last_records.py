"""Reads single records again: a log that was cut and written on, or made anew, is known by its last one.

Leader epochs would tell the same, but a record is proof even where brokers forgot their epochs.
"""

from collections.abc import Mapping
from zlib import crc32

from confluent_kafka import Consumer, Message, TopicPartition
from faust.types import TP

from schemas.checkpoints import LastRecord
from schemas.records import RawBatch
from streams.worker.errors import PASSING, StateError

READ_WITHIN_S = 30.0
FETCH_BYTES = 1 << 10  # a broker answers with one whole batch at least, and one is all that is wanted


def last_of(batch: RawBatch) -> LastRecord:
    """Return what a checkpoint keeps of the last record of a batch."""
    return _record(int(batch.offsets[-1]), int(batch.record_times_ms[-1]), batch.keys[-1], batch.values[-1])


def records_again(
    kafka: Mapping[str, str],
    lasts: Mapping[TP, LastRecord | None],
    firsts: Mapping[TP, int],
    ends: Mapping[TP, int],
) -> dict[TP, LastRecord]:
    """Return what lies now where ``lasts`` were, of logs that reach there; as ``records_at`` does."""
    there = {tp: last.offset for tp, last in lasts.items() if last and firsts[tp] <= last.offset < ends[tp]}
    return records_at(kafka, there)


def records_at(kafka: Mapping[str, str], offsets: Mapping[TP, int]) -> dict[TP, LastRecord]:
    """Return what lies at one offset of each partition; where nothing does, it is left out. Blocks.

    Parameters
    ----------
    kafka
        Connection options under librdkafka's names.
    offsets
        All must be below the ends of the logs, and not below their beginnings.

    Raises
    ------
    StateError
        If Kafka refuses, or does not answer within ``READ_WITHIN_S``.
    """
    if not offsets:
        return {}
    consumer = Consumer(
        {
            **kafka,
            "group.id": "aftcast-last-records",  # never committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "fetch.message.max.bytes": FETCH_BYTES,
            "fetch.wait.max.ms": 10,
            "log_level": 0,  # what matters is raised
        }
    )
    found: dict[TP, LastRecord] = {}
    waiting = dict(offsets)
    try:
        consumer.assign([TopicPartition(tp.topic, tp.partition, at) for tp, at in offsets.items()])
        while waiting:
            message = consumer.poll(READ_WITHIN_S)
            if message is None:
                raise StateError(f"{_listed(waiting)}: no answer within {READ_WITHIN_S:g} s")
            tp = TP(message.topic() or "", message.partition() or 0)
            if _tells_of_its_place(message, waiting) and tp in waiting:
                at = waiting.pop(tp)
                if message.error() is None and message.offset() == at:
                    found[tp] = _record(at, message.timestamp()[1], message.key(), message.value())
    finally:
        consumer.close()
    return found


def _tells_of_its_place(message: Message, waiting: Mapping[TP, int]) -> bool:
    """Tell whether this is a record or the end of a log, not a connection that comes back by itself."""
    error = message.error()
    if error is None or error.name() == "_PARTITION_EOF":
        return True
    if error.name() in PASSING:
        return False
    raise StateError(f"{_listed(waiting)}: cannot be read ({error.str()})")


def _listed(waiting: Mapping[TP, int]) -> str:
    return ", ".join(f"{tp.topic}[{tp.partition}]@{at}" for tp, at in waiting.items())


def _record(offset: int, time_ms: int, key: bytes | None, value: bytes | None) -> LastRecord:
    return LastRecord(offset, time_ms, crc32(value or b"", crc32(key or b"")))
