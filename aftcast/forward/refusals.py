"""Alerts that a target refused, as dead letters: acknowledged before reading goes on."""

import time
from collections.abc import Mapping

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.findings import AlertEvent
from schemas.messages import dead_letter_document
from schemas.records import DeadLetter

CODE = "delivery_refused"
WITHIN_S = 30.0
VALUE_LIMIT = 200  # characters, as of every dead letter


class Refusals:
    """Sends dead letters; used by the runners of all targets."""

    def __init__(self, options: Mapping[str, str], topic: str) -> None:
        self._producer = Producer({**options, "enable.idempotence": True, "linger.ms": 0})
        self._topic = topic

    def send(
        self, target: str, topic: str, message: Message | None, reason: str, alert: AlertEvent | None
    ) -> None:
        """Send one and wait for it; ``KafkaException`` if Kafka does not take it."""
        key = message.key() if message is not None else alert.fingerprint.encode() if alert else None
        value = (message.value() or b"").decode("utf-8", "replace") if message is not None else ""
        letter = DeadLetter(
            topic=topic,
            partition=(message.partition() or 0) if message is not None else -1,
            offset=(message.offset() or 0) if message is not None else -1,
            reason=f"{CODE}: {target} {reason}",
            field=target,
            value=(value or (alert.summary if alert else ""))[:VALUE_LIMIT],
            # The time of the refusal: several targets may refuse one record, and each is kept.
            received_at_ms=time.time_ns() // 1_000_000,
            key=key,
        )
        failed: list[KafkaError] = []

        def told(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error)

        self._producer.produce(self._topic, orjson.dumps(dead_letter_document(letter)), key, on_delivery=told)
        left = self._producer.flush(WITHIN_S)
        if failed or left:
            raise KafkaException(failed[0] if failed else KafkaError(KafkaError._TIMED_OUT))
