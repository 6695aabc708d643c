"""Who works on a partition: each claim is a record of ``aftcast-state`` with an epoch one above the last."""

import asyncio
import json
from collections.abc import Mapping

from confluent_kafka import Consumer, TopicPartition

from streams.worker.errors import WorkerError
from streams.worker.sending import Outgoing, Sender

CLAIM_KEY = b"claim"
READ_WITHIN_S = 30.0
BATCH = 10_000


class Claims:
    """Reads and writes the claims of partitions; none is written without having read the last."""

    def __init__(self, kafka: Mapping[str, str], topic: str, sender: Sender) -> None:
        self._kafka = dict(kafka)
        self._topic = topic
        self._sender = sender

    async def last_epoch(self, partition: int) -> int:
        """Return the epoch of the last claim, 0 where there was none."""
        return await asyncio.to_thread(self._read, partition)

    async def claim(self, partition: int) -> int:
        """Claim a partition and return the new epoch."""
        epoch = await self.last_epoch(partition) + 1
        value = json.dumps({"epoch": epoch}).encode()
        await self._sender.send([Outgoing(self._topic, value, CLAIM_KEY, partition=partition)])
        return epoch

    def _read(self, partition: int) -> int:
        # A group id is required though nothing is committed and no group is joined.
        options = {"group.id": "aftcast-claims", "enable.auto.commit": False, "enable.partition.eof": True}
        consumer = Consumer({**self._kafka, **options, "auto.offset.reset": "error"})
        try:
            place = TopicPartition(self._topic, partition)
            start, end = consumer.get_watermark_offsets(place, timeout=READ_WITHIN_S)
            epoch = 0
            if start == end:
                return epoch
            place.offset = start
            consumer.assign([place])
            while True:
                message = consumer.poll(READ_WITHIN_S)
                if message is None:
                    raise WorkerError(
                        f"{self._topic}[{partition}]: claims not read within {READ_WITHIN_S:g} s"
                    )
                error = message.error()
                if error is not None:
                    if error.name() == "_PARTITION_EOF":
                        return epoch
                    raise WorkerError(f"{self._topic}[{partition}]: claims cannot be read ({error.str()})")
                value = message.value()
                if message.key() == CLAIM_KEY and value is not None:
                    epoch = max(epoch, int(json.loads(value)["epoch"]))
        finally:
            consumer.close()
