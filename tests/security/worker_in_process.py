"""A worker of the test's own process, run until a prediction that was sent stands in its rollups."""

import asyncio
import json
import time

from confluent_kafka import Consumer, Producer, TopicPartition

from aftcast.configuration import Configuration
from aftcast.loading import load
from aftcast.working import decoder_of, worker_settings
from schemas import messages
from streams.worker.worker import Worker

WITHIN_S = 40.0


def configured(kafka: dict[str, str], **more: str) -> Configuration:
    environment = {f"AFTCAST_KAFKA__{name}".upper(): value for name, value in kafka.items()}
    return load(environment=environment | {"AFTCAST_TOPICS__PARTITIONS": "1"} | more)


def send(options: dict[str, str], topic: str, model: str) -> None:
    producer = Producer({**options, "partitioner": "murmur2_random"})
    now_ms = time.time_ns() // 1_000_000
    event = {"prediction_id": f"alice-{model}", "model": model, "timestamp": now_ms, "prediction": 1}
    event |= {"features": {"mail": "alice@a", "who": "alice-1"}, "segments": {"who": "alice-2"}}
    event |= {"request_id": "alice-3", "trace_id": "alice-4"}
    producer.produce(topic, json.dumps(event).encode(), b"alice-key")
    producer.produce(topic, b'{"prediction_id": "alice-5"', b"alice-key")
    assert producer.flush(20) == 0


def models_told(options: dict[str, str], topic: str) -> set[str]:
    """Return the models of the committed rows of a topic, by a consumer that came the same way."""
    told = {"group.id": "reader", "enable.partition.eof": True, "isolation.level": "read_committed"}
    consumer = Consumer({**told, **options})
    found: set[str] = set()
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while (message := consumer.poll(10)) is not None and not message.error():
            if messages.header_of(message.headers()) == messages.PANES:
                rows = messages.decode_panes(message.value() or b"")
                found |= set(rows.column("model").to_pylist())
    finally:
        consumer.close()
    return found


async def rolled_up(
    configuration: Configuration,
    model: str,
    sender: dict[str, str] | None = None,
    reader: dict[str, str] | None = None,
) -> bool:
    """Run a worker until the rollup of a new model is there.

    ``sender`` and ``reader`` are the options of who produces and who looks, the worker's own unless given.
    """
    worker = Worker(worker_settings(configuration), decoder_of(configuration))
    options, names = configuration.kafka.client_options(), configuration.topics
    reader = reader or options
    ends_s = time.monotonic() + WITHIN_S
    try:
        await worker.start()
        await asyncio.to_thread(send, sender or options, names.inference, model)
        while model not in await asyncio.to_thread(models_told, reader, names.pane_updates):
            if time.monotonic() > ends_s:
                return False
            await asyncio.sleep(0.2)
    finally:
        await worker.stop()
    return True
