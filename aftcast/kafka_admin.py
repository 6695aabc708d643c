"""Kafka as ``setup`` and ``check`` see it: brokers, topics, their partitions and settings."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewPartitions, NewTopic

from aftcast.failure import Failure
from aftcast.kafka_entry import Refusals, quiet_options
from aftcast.topic_plan import TopicPlan

ANSWER_WITHIN_S = 5.0
VISIBLE_WITHIN_S = 10.0
COMING_UP = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)


class KafkaAdmin:
    """One cluster; ``Failure`` with the broker's words where it does not do what it is asked to."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.address = options["bootstrap.servers"]
        self._refusals = Refusals()
        try:
            self._client = AdminClient({**options, **quiet_options(self._refusals)})
        except KafkaException as error:
            raise Failure(f"Kafka: the options are refused: {_words(error)}") from None

    def cluster(self) -> tuple[int, dict[str, int]]:
        """Return the number of brokers, and partitions by topic."""
        try:
            metadata = self._client.list_topics(timeout=ANSWER_WITHIN_S)
        except KafkaException as error:
            self._client.poll(0)
            raise Failure(f"Kafka: not reachable at {self.address} ({self._refusals.words(error)})") from None
        return len(metadata.brokers), {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    def version(self) -> str:
        """Return what the brokers' settings tell about their version: they do not say it outright."""
        metadata = self._client.list_topics(timeout=ANSWER_WITHIN_S)
        broker = str(min(metadata.brokers))
        settings = self._settings(ConfigResource.Type.BROKER, [broker])[broker]
        protocol = settings.get("inter.broker.protocol.version")
        return f"before 4.0 (protocol {protocol})" if protocol else "4.0 or newer"

    def topic_settings(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        return self._settings(ConfigResource.Type.TOPIC, list(names))

    def rights_on_topics(self, names: Iterable[str]) -> dict[str, frozenset[str] | None]:
        """Return the operations that this user may do on each topic, None where the brokers do not say.

        They say nothing of topics that do not exist, and that nothing is allowed on those that they hide.
        """
        asked = TopicCollection(list(names))
        if not asked.topic_names:
            return {}
        futures = self._client.describe_topics(
            asked, include_authorized_operations=True, request_timeout=ANSWER_WITHIN_S
        )
        return {name: _operations(name, future) for name, future in futures.items()}

    def rights_on_groups(self, names: Iterable[str]) -> dict[str, frozenset[str] | None]:
        """Return the operations that this user may do on each consumer group, which need not exist."""
        asked, deadline_s = list(names), time.monotonic() + VISIBLE_WITHIN_S
        while True:
            futures = self._client.describe_consumer_groups(
                asked, include_authorized_operations=True, request_timeout=ANSWER_WITHIN_S
            )
            # The first question about any group makes the brokers create what they keep groups in.
            if not any(_comes_up(future) for future in futures.values()) or time.monotonic() > deadline_s:
                return {name: _operations(name, future) for name, future in futures.items()}
            time.sleep(0.2)

    def newest_times_ms(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the largest record time of each partition that has records."""
        newest: Any = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(topic, partition): newest for topic, partition in places}
        if not asked:
            return {}
        futures = self._client.list_offsets(asked, request_timeout=ANSWER_WITHIN_S)
        try:
            found = {(place.topic, place.partition): future.result() for place, future in futures.items()}
        except KafkaException as error:
            raise Failure(f"Kafka: record times cannot be read ({_words(error)})") from None
        return {place: int(one.timestamp) for place, one in found.items() if one.timestamp >= 0}

    def _settings(self, kind: Any, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(kind, name) for name in names]
        try:
            futures = self._client.describe_configs(resources, request_timeout=ANSWER_WITHIN_S)
            return {
                resource.name: {key: str(entry.value) for key, entry in future.result().items()}
                for resource, future in futures.items()
            }
        except KafkaException as error:
            raise Failure(f"Kafka: settings cannot be read ({_words(error)})") from None

    def create(self, plan: TopicPlan, replication: int) -> None:
        """Create a topic, and wait until the brokers tell of it: they hear of it from the controller."""
        topic = NewTopic(plan.name, plan.partitions, replication, config=plan.settings)
        try:
            self._client.create_topics([topic], operation_timeout=ANSWER_WITHIN_S)[plan.name].result()
        except KafkaException as error:
            raise Failure(f"Kafka: topic {plan.name} cannot be created ({_words(error)})") from None
        self._await(plan.name, plan.partitions)

    def grow(self, name: str, partitions: int) -> None:
        """Give a topic more partitions, and wait until the brokers tell of them."""
        try:
            self._client.create_partitions([NewPartitions(name, partitions)])[name].result(ANSWER_WITHIN_S)
        except KafkaException as error:
            raise Failure(f"Kafka: topic {name} cannot be given partitions ({_words(error)})") from None
        self._await(name, partitions)

    def _await(self, name: str, partitions: int) -> None:
        deadline_s = time.monotonic() + VISIBLE_WITHIN_S
        while self.cluster()[1].get(name) != partitions:
            if time.monotonic() > deadline_s:
                raise Failure(f"Kafka: topic {name} was given {partitions} partitions, no broker tells of it")
            time.sleep(0.02)


def _comes_up(future: Future[Any]) -> bool:
    error = future.exception(ANSWER_WITHIN_S + 1)
    return isinstance(error, KafkaException) and error.args[0].code() in COMING_UP


def _operations(name: str, future: Future[Any]) -> frozenset[str] | None:
    try:
        told = future.result(ANSWER_WITHIN_S).authorized_operations
    except KafkaException as error:
        if error.args[0].code() in REFUSED:
            return frozenset()
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        words = f"{_words(error)} {error.args[0].name()}"  # some have no text
        raise Failure(f"Kafka: rights on {name} cannot be read ({words})") from None
    except TimeoutError:
        raise Failure(f"Kafka: rights on {name} are not told within {ANSWER_WITHIN_S:g} s") from None
    return None if told is None else frozenset(operation.name for operation in told)


def _words(error: KafkaException) -> str:
    # The first argument is the client's error; its text is for people.
    return str(error.args[0].str()).strip().lower()
