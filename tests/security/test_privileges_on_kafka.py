"""Least privilege on a real Kafka: with the listed rights each part works, without one it says which."""

import asyncio
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from secured_broker import Secured
from worker_in_process import configured, rolled_up, send

from aftcast.client import Reporter
from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.forward.refusals import Refusals
from aftcast.forward.runner import Runner
from aftcast.forward.targets import open_target
from aftcast.kafka_checks import kafka_findings
from aftcast.privileges import PARTS, Kind, Part, Right, kafka_rights
from aftcast.raw_offsets import RawOffsets
from aftcast.rights_at_start import check_start
from aftcast.setting_up import set_up_topics
from aftcast.state_looking import look
from aftcast.store_checks import open_clickhouse
from aftcast.topic_reading import values
from aftcast.working import raw_writer
from sinks.clickhouse.migrate import migrate
from streams.worker.errors import WorkerError

pytestmark = pytest.mark.kafka
KINDS: dict[Kind, ResourceType] = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}
NAMED = {
    f"AFTCAST_TOPICS__{name}".upper(): f"acl-{topic}"
    for name, topic in Configuration().topics.model_dump(exclude={"partitions"}).items()
} | {"AFTCAST_KAFKA__GROUP": "acl"}


def bindings(user: str, right: Right) -> Iterator[AclBinding]:
    pattern = ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL
    for operation in right.operations:
        named = AclOperation[operation.replace("Configs", "_Configs").upper()]
        yield AclBinding(
            KINDS[right.kind], right.name, pattern, f"User:{user}", "*", named, AclPermissionType.ALLOW
        )


class Users:
    """One user of SCRAM for each part, with exactly the rights that are listed for it."""

    def __init__(self, secured: Secured) -> None:
        self._secured = secured
        self._password = secrets.token_hex(12)
        self.rights = kafka_rights(configured({}, **NAMED))
        for part in PARTS:
            secured.add_user(f"acl-{part}", self._password)
        self.give(
            *(one for part in PARTS for right in self.rights[part] for one in bindings(f"acl-{part}", right))
        )

    def give(self, *given: AclBinding) -> None:
        for future in self._secured.admin.create_acls(list(given)).values():
            future.result(10)

    @contextmanager
    def without(self, part: Part, kind: Kind, name: str, operation: str) -> Iterator[None]:
        (right,) = (
            one
            for one in self.rights[part]
            if (one.kind, one.name) == (kind, name) and operation in one.operations
        )
        lost = next(one for one in bindings(f"acl-{part}", right) if one.operation.name == operation.upper())
        matching = AclBindingFilter(
            lost.restype, lost.name, lost.resource_pattern_type, lost.principal, "*", lost.operation,
            AclPermissionType.ALLOW,
        )  # fmt: skip
        (found,) = (future.result(10) for future in self._secured.admin.delete_acls([matching]).values())
        assert len(found) == 1
        try:
            yield
        finally:
            self.give(lost)

    def configuration(self, part: Part, **more: str) -> Configuration:
        login = {"sasl_username": f"acl-{part}", "sasl_password": self._password}
        return configured(self._secured.options("SASL_PLAINTEXT", "SCRAM-SHA-256", **login), **NAMED, **more)

    def options(self, part: Part) -> dict[str, str]:
        own = self.configuration(part).kafka.client_options()
        return own | {"group.id": "acl-raw"} if part == "raw" else own


@pytest.fixture(scope="module")
def users(secured: Secured) -> Users:
    found = Users(secured)
    set_up = set_up_topics(found.configuration("setup"))
    assert not [one for one in set_up if one.grade == "failure"]
    return found


def test_a_worker_joins_what_a_producer_sends_and_nobody_has_more_than_is_listed(users: Users) -> None:
    streams = users.configuration("streams")
    assert asyncio.run(rolled_up(streams, "by all", users.options("producer"), users.options("raw")))


def test_every_part_that_runs_has_all_it_needs(users: Users) -> None:
    for part in ("streams", "raw", "forward"):
        check_start(users.configuration(part), (part,))


MISSING: list[tuple[Part, Kind, str, str]] = [
    ("streams", "topic", "acl-pane-updates", "Write"),
    ("streams", "topic", "acl-label-events", "Read"),
    ("streams", "group", "acl", "Read"),
    ("raw", "topic", "acl-alert-events", "Read"),
    ("raw", "group", "acl-raw", "Read"),
    ("forward", "topic", "acl-dead-letter-events", "Write"),
]


@pytest.mark.parametrize(("part", "kind", "name", "operation"), MISSING)
def test_a_part_that_lacks_one_right_names_it_with_the_command_that_gives_it(
    users: Users, part: Part, kind: Kind, name: str, operation: str
) -> None:
    configuration = users.configuration(part)
    with users.without(part, kind, name, operation), pytest.raises(Failure) as stopped:
        check_start(configuration, (part,))
    assert str(stopped.value) == (
        f"Kafka: acl-{part} may not {operation} on {kind} {name}; kafka-acls.sh --bootstrap-server "
        f"{configuration.kafka.bootstrap_servers} --add --allow-principal User:acl-{part} "
        f"--operation {operation} --{kind} {name}"
    )


def test_a_worker_without_its_transactional_id_names_it(users: Users) -> None:
    streams = users.configuration("streams")
    with (
        users.without("streams", "transactional-id", "acl-acl-aftcast-state-", "Write"),
        pytest.raises(WorkerError, match=r"^acl-acl-aftcast-state-0: .*Transactional Id authorization"),
    ):
        asyncio.run(rolled_up(streams, "none", users.options("producer"), users.options("raw")))


def test_the_raw_role_copies_what_is_sent_into_clickhouse(users: Users, engine_url: str) -> None:
    url = {"AFTCAST_CLICKHOUSE__URL": engine_url}
    configuration = users.configuration("raw", **url)
    client = open_clickhouse(configuration)
    migrate(client)
    client.close()
    send(users.options("producer"), configuration.topics.inference, "for the tables")
    writer, stop = raw_writer(configuration), threading.Event()
    thread = threading.Thread(target=writer.run, args=(stop,))
    thread.start()
    try:
        ends_s = time.monotonic() + 30
        while not writer.counters.rows["predictions"]:
            assert time.monotonic() < ends_s
            time.sleep(0.1)
    finally:
        stop.set()
        thread.join(20)
    offsets = RawOffsets(users.options("raw"), "acl-raw")
    topic = configuration.topics.inference
    committed = offsets.committed([(topic, 0)])
    offsets.close()
    assert committed[topic, 0] > 0
    assert offsets.are_read([(topic, 0)], committed)


def test_people_read_alerts_dead_letters_and_state_and_check_looks_at_everything(users: Users) -> None:
    reader = users.configuration("reader")
    read = {
        topic: list(values(users.options("reader"), topic, from_beginning=True, follow=False))
        for topic in (reader.topics.alerts, reader.topics.dead_letters)
    }
    assert read[reader.topics.alerts] == []
    assert all(b"malformed_json" in letter for letter in read[reader.topics.dead_letters])
    assert look(reader, [], time.time_ns() // 1_000_000).partitions[0].checkpoint is not None
    found = kafka_findings(users.configuration("check"))
    assert [one for one in found if one.grade == "failure"] == []


def test_the_forwarder_takes_its_part_in_its_group(users: Users) -> None:
    targets = '[{"name": "am", "kind": "alertmanager", "url": "http://127.0.0.1:1"}]'
    configuration = users.configuration("forward", AFTCAST_FORWARD=targets)
    options, topics = configuration.kafka.client_options(), configuration.topics

    async def assigned() -> None:
        refusals = Refusals(options, topics.dead_letters)
        runner = Runner(open_target(configuration.forward[0]), options, "acl", topics.alerts, refusals)
        stop = asyncio.Event()
        running = asyncio.create_task(runner.run(stop))
        ends_s = time.monotonic() + 20
        while not runner.tally.assigned and time.monotonic() < ends_s:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
        was_assigned = runner.tally.assigned
        stop.set()
        await running
        assert was_assigned

    asyncio.run(assigned())


def test_a_producer_that_lacks_its_right_hears_of_it_and_may_not_read(users: Users) -> None:
    with users.without("producer", "topic", "acl-inference-events", "Write"):
        reporter = Reporter(
            model="m",
            kafka=users.options("producer"),
            bootstrap_servers=users.options("producer")["bootstrap.servers"],
            inference_topic="acl-inference-events",
        )
        reporter.prediction("p", 1)
        reporter.close()
    assert reporter.counts.delivered == 0
    with pytest.raises(Failure, match="cannot be read"):
        list(values(users.options("producer"), "acl-inference-events", from_beginning=True, follow=False))
