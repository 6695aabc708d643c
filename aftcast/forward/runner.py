"""One target's way through the topic: a group of its own, in order, committed only after delivery.

Each start reads the topic from its beginning: what is older than the commit tells which alerts fire, and is
not sent. Alertmanager forgets what nobody repeats, so it is told again every minute of all that fires.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import orjson
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from aftcast.forward.bodies import Firing
from aftcast.forward.delivery import Outcome, Rate, deliver, retry_s, wait_or_stop
from aftcast.forward.metrics import Tally
from aftcast.forward.refusals import Refusals
from aftcast.forward.targets import Target
from schemas.findings import AlertEvent
from schemas.messages import alert_of

FIRST_LOOK = "first look"  # beside an offset: what fires there is not delivered yet
POLL_S = 0.2
ANSWER_WITHIN_S = 10.0
REPEAT_S = 60.0
REPEAT_AT_ONCE = 100  # alerts in one request
LAG_EVERY_S = 5.0  # a request to the brokers for each partition; Prometheus asks every 15 s
LAG_WITHIN_S = 2.0  # brokers that are away must not hold up the end of the process

UNSAYABLE = (ValueError, OverflowError, OSError, TypeError)  # such as a time beyond the year 9999

log = structlog.get_logger("aftcast.forward")
T = TypeVar("T")


@dataclass(slots=True)
class Place:
    """A partition of the topic: below ``live_from`` all is history; ``first`` is a group's first look."""

    live_from: int
    first: bool
    next_offset: int = 0
    firing: Firing = field(default_factory=Firing)
    live: bool = False


class Runner:
    """Delivers to one target until told to stop; what the target does never reaches the others."""

    def __init__(
        self, target: Target, options: Mapping[str, str], group: str, topic: str, refusals: Refusals
    ) -> None:
        self._target, self._topic, self._refusals = target, topic, refusals
        self._options = {
            "session.timeout.ms": "6000",
            **options,
            "group.id": f"{group}-forward-{target.name}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
        self._places: dict[int, Place] = {}
        self._generation = 0
        self._rate = Rate(target.rate_per_minute)
        self._repeat_s = time.monotonic() + REPEAT_S
        self._held: list[Message] = []
        self.tally = Tally()
        self._lag_s = float("-inf")
        self._log = log.bind(target=target.name)
        # Of one thread: the consumer is used by one call at a time, and a slow one holds up no other target.
        self._pool = ThreadPoolExecutor(1, f"forward-{target.name}")

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until ``stop`` is set.

        Raises
        ------
        KafkaException
            If the brokers refuse this group.
        """
        self._consumer = Consumer(self._options)
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked)
        try:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
                while not stop.is_set():
                    await self._round(session, stop)
        finally:
            await self._call(self._consumer.close)
            self._pool.shutdown(wait=False)

    async def _round(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        await self._look()
        await self._repeat(session)
        messages, self._held = self._held, []
        messages = messages or await self._call(self._consumer.consume, 100, POLL_S)
        generation = self._generation
        for message in messages:
            # After a rebalance the new owner, or we ourselves, read again from the commit on.
            if stop.is_set() or generation != self._generation:
                return
            if error := message.error():
                await self._told(error, message, session, stop)
            else:
                await self._take(message, session, stop)

    async def _told(
        self, error: KafkaError, message: Message, session: aiohttp.ClientSession, stop: asyncio.Event
    ) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            if place := self._places.get(message.partition() or 0):
                place.next_offset = message.offset() or 0
            await self._go_live(message.partition() or 0, session, stop)
        elif error.fatal() or error.code() in (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
        ):
            raise KafkaException(error)
        else:
            self._log.warning("kafka: " + error.str())

    async def _take(self, message: Message, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        partition, offset = message.partition() or 0, message.offset() or 0
        place = self._places.get(partition)
        if place is None:
            return
        alert = _alert(message)
        if offset < place.live_from:
            if alert is not None and self._target.wants(alert):
                place.firing.take(alert)
            place.next_offset = offset + 1
            return
        if not await self._go_live(partition, session, stop):
            return
        if alert is None:
            await self._refuse(message, "is no alert event")
        elif self._target.wants(alert):
            fires = place.firing.take(alert)
            if not await self._deliver(alert, fires, message, session, stop):
                return
        place.next_offset = offset + 1
        await self._commit(partition, offset + 1)

    async def _go_live(self, partition: int, session: aiohttp.ClientSession, stop: asyncio.Event) -> bool:
        """Leave history behind; a group that is new tells what fires at that moment, and nothing older.

        False when it was given up to stop or rebalance.
        """
        place = self._places.get(partition)
        if place is None or place.live:
            return place is not None
        place.live = True
        self._repeat_s = 0.0
        if not place.first:
            return True
        for alert in list(place.firing.alerts.values()):
            if not await self._deliver(alert, True, None, session, stop):
                return False
        await self._commit(partition, place.live_from)
        return True

    async def _deliver(
        self,
        alert: AlertEvent,
        fires: bool,
        message: Message | None,
        session: aiohttp.ClientSession,
        stop: asyncio.Event,
    ) -> bool:
        """Deliver, trying again for as long as it takes; False when it was given up to stop or rebalance."""
        generation, attempt = self._generation, 0
        while not stop.is_set():
            if (wait_s := self._rate.wait_s(time.monotonic())) and await self._pause(
                wait_s, stop, generation
            ):
                return False
            # Made anew each time: Alertmanager goes by its clock.
            payload = None
            try:
                body = self._target.body(alert, fires, _now_ms())
                payload = None if body is None else self._target.encoded(body)
            except UNSAYABLE as error:
                await self._refuse(message, f"cannot be written down: {error}", alert)
            if payload is None:
                return True
            attempt += 1
            outcome = await deliver(session, self._target, payload)
            told = {"status": alert.status, "rule": alert.rule, "fingerprint": alert.fingerprint}
            if not outcome.again:
                self.tally.answered()
            if outcome.taken:
                self.tally.delivered += 1
                self._log.info("delivered", **told, attempts=attempt)
            elif not outcome.again:
                await self._refuse(message, outcome.reason, alert)
            if not outcome.again:
                return True
            self.tally.failed(outcome.reason)
            pause_s = max(retry_s(attempt), outcome.after_s)
            self._log.warning("not delivered", **told, reason=outcome.reason, retry_in_s=pause_s)
            if await self._pause(pause_s, stop, generation):
                return False
        return False

    async def _pause(self, for_s: float, stop: asyncio.Event, generation: int) -> bool:
        """Wait as a member of the group must; return whether delivery is not ours to finish any more."""
        ends_s = time.monotonic() + for_s
        await self._call(self._consumer.pause, self._assignment())
        while (left_s := ends_s - time.monotonic()) > 0 and generation == self._generation:
            await self._look()
            self._held += await self._call(self._consumer.consume, 1, 0)
            if await wait_or_stop(stop, min(left_s, POLL_S)):
                return True
        if generation != self._generation:
            self._held = []
            return True
        await self._call(self._consumer.resume, self._assignment())
        return False

    async def _repeat(self, session: aiohttp.ClientSession) -> None:
        now_s = time.monotonic()
        if self._target.kind != "alertmanager" or now_s < self._repeat_s:
            return
        self._repeat_s = now_s + REPEAT_S
        bodies: list[dict[str, Any]] = []
        for place in self._places.values():
            for alert in place.firing.alerts.values() if place.live else ():
                with contextlib.suppress(*UNSAYABLE):  # it was set aside when it came
                    body = self._target.body(alert, True, _now_ms())
                    bodies += body if isinstance(body, list) else []
        for at in range(0, len(bodies), REPEAT_AT_ONCE):
            part = bodies[at : at + REPEAT_AT_ONCE]
            outcome: Outcome = await deliver(session, self._target, self._target.encoded(part))
            if outcome.again:
                self.tally.failed(outcome.reason)
            else:
                self.tally.answered()
            if not outcome.taken:
                self._log.warning("not repeated", alerts=len(part), reason=outcome.reason)
                return

    async def _refuse(self, message: Message | None, reason: str, alert: AlertEvent | None = None) -> None:
        self.tally.refused += 1
        await self._call(self._refusals.send, self._target.name, self._topic, message, reason, alert)
        told = {"fingerprint": alert.fingerprint} if alert is not None else {}
        self._log.error("refused, set aside", **told, reason=reason)

    async def _commit(self, partition: int, offset: int) -> None:
        place = TopicPartition(self._topic, partition, offset)
        try:
            await self._call(lambda: self._consumer.commit(offsets=[place], asynchronous=False))
        except KafkaException as error:
            # Delivered once more by whoever reads it next.
            self._log.warning("not committed", reason=error.args[0].str())

    async def _look(self) -> None:
        """Note that the loop turns and, now and then, how much of the topic is still to be read."""
        self.tally.turned_s = now_s = time.monotonic()
        self.tally.firing = sum(len(place.firing.alerts) for place in self._places.values())
        if now_s < self._lag_s + LAG_EVERY_S:
            return
        self._lag_s, lag = now_s, 0
        for partition, place in list(self._places.items()):
            asked = TopicPartition(self._topic, partition)
            try:
                _, end = await self._call(self._consumer.get_watermark_offsets, asked, LAG_WITHIN_S)
            except KafkaException:
                return  # the figure stands until the brokers answer again
            lag += max(0, end - max(place.next_offset, place.live_from))
        self.tally.lag_records = lag

    def _assignment(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in self._places]

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    # -- called by the consumer, while a call above waits for it -------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._generation += 1
        self._places = {}
        self._lag_s = float("-inf")
        for found in consumer.committed(partitions, ANSWER_WITHIN_S):
            if found.error is not None:
                raise KafkaException(found.error)
            _, end = consumer.get_watermark_offsets(
                TopicPartition(self._topic, found.partition), ANSWER_WITHIN_S
            )
            if found.offset < 0:
                # Where the first look ends must not move with a rebalance that comes before it is over.
                found = TopicPartition(self._topic, found.partition, end, metadata=FIRST_LOOK)  # noqa: PLW2901
                consumer.commit(offsets=[found], asynchronous=False)
            self._places[found.partition] = Place(found.offset, found.metadata == FIRST_LOOK)
        for partition in partitions:
            partition.offset = OFFSET_BEGINNING
        consumer.assign(partitions)
        # librdkafka remembers over an assignment what was paused before it.
        consumer.resume(partitions)
        self.tally.assigned = True
        self._log.info("assigned", partitions=sorted(self._places))

    def _revoked(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._generation += 1
        self.tally.assigned = False
        self.tally.answered()
        self._places = {}


def _alert(message: Message) -> AlertEvent | None:
    try:
        return alert_of(orjson.loads(message.value() or b""))
    except (*UNSAYABLE, AttributeError):
        return None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
