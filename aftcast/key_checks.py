"""Whether the producers of both input topics put a key on the same partition, by the newest records."""

import time
from typing import Any

import numpy as np
from confluent_kafka import Consumer, KafkaException, TopicPartition

from aftcast.configuration import Configuration
from aftcast.findings import Finding
from aftcast.working import decoder_of
from schemas.records import RawBatch
from streams.decode import Decoder, RegistryUnavailable
from streams.partitioner import Evidence, KeySample, judge

NEWEST = 256  # records of each partition
READ_WITHIN_S = 8.0
ANSWER_WITHIN_S = 5.0

Places = dict[tuple[str, int], list[Any]]


def key_findings(configuration: Configuration, partitions: int) -> list[Finding]:
    """Look at the newest keys of both input topics, which have ``partitions`` each."""
    topics = (configuration.topics.inference, configuration.topics.labels)
    if partitions == 1:
        return []
    quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda _error: None}
    group = {"group.id": "aftcast-reader", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer = Consumer(
        {**configuration.kafka.client_options(), **group, **quiet, "enable.partition.eof": True}
    )
    try:
        records = _newest(consumer, topics, partitions)
    except KafkaException as error:
        text = f"keys cannot be read ({error.args[0].str().lower()})"
        return [Finding("failure", "partitioner", text, "allow Read on both input topics")]
    finally:
        consumer.close()
    decoder = decoder_of(configuration)
    evidence = [Evidence(partitions), Evidence(partitions)]
    for (topic, partition), found in records.items():
        sample = KeySample(partition, partitions, shows_keys=not decoder.privacy.hides_payload)
        sample.add(
            [record.key() for record in found], _ids(decoder, inference=topic == topics[0], records=found)
        )
        evidence[topics.index(topic)] += sample.evidence
    verdicts = judge(topics, (evidence[0], evidence[1]))
    findings = []
    for topic, verdict, seen in zip(topics, verdicts, evidence, strict=True):
        if verdict.text:
            text, _, remedy = verdict.text.removeprefix(f"{topic}: ").partition("; ")
            findings.append(Finding("failure", f"keys of {topic}", text, remedy))
        elif verdict.partitioner:
            text = f"placed by {verdict.partitioner} ({seen.sampled} of the newest records)"
            findings.append(Finding("ok", f"keys of {topic}", text))
        else:
            text = f"{seen.sampled} records are too few to tell by which hash their producers go"
            findings.append(Finding("ok", f"keys of {topic}", text))
    return findings


def _newest(consumer: Consumer, topics: tuple[str, str], partitions: int) -> Places:
    places = []
    for topic in topics:
        for partition in range(partitions):
            place = TopicPartition(topic, partition)
            low, high = consumer.get_watermark_offsets(place, timeout=ANSWER_WITHIN_S)
            if low < high:
                places.append(TopicPartition(topic, partition, max(low, high - NEWEST)))
    found: Places = {}
    left = len(places)
    if left:
        consumer.assign(places)
    ends_s = time.monotonic() + READ_WITHIN_S
    while left and time.monotonic() < ends_s:
        for message in consumer.consume(1_000, 0.5):
            error = message.error()
            if error is None:
                found.setdefault((message.topic() or "", message.partition() or 0), []).append(message)
            elif error.name() == "_PARTITION_EOF":
                left -= 1
            else:
                raise KafkaException(error)
    return found


def _ids(decoder: Decoder, *, inference: bool, records: list[Any]) -> list[str | None]:
    headers = [record.headers() or () for record in records]
    raw = RawBatch(
        records[0].topic(),
        records[0].partition(),
        np.array([record.offset() for record in records], np.int64),
        np.array([record.timestamp()[1] for record in records], np.int64),
        [record.key() for record in records],
        [record.value() for record in records],
        headers if any(headers) else (),
    )
    if decoder.privacy.hides_ids:
        return [None] * len(records)
    try:
        columns = (decoder.decode_inference if inference else decoder.decode_labels)(raw).columns
    except RegistryUnavailable:
        return [None] * len(records)
    known = dict(
        zip(columns.column("offset").to_pylist(), columns.column("prediction_id").to_pylist(), strict=True)
    )
    return [known.get(record.offset()) for record in records]
