"""What `aftcast check` finds at a real Kafka about rights and clocks."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from aftcast.clock_checks import kafka_clock_finding
from aftcast.configuration import Configuration
from aftcast.findings import Finding
from aftcast.kafka_admin import KafkaAdmin
from aftcast.kafka_broker import KafkaBroker
from aftcast.kafka_checks import kafka_findings
from aftcast.loading import load
from aftcast.setting_up import set_up_topics

pytestmark = pytest.mark.kafka

# What no rule is about is allowed: each test forbids what it is about.
AUTHORIZING = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with KafkaBroker(tmp_path_factory.mktemp("kafka"), AUTHORIZING) as broker:
        yield broker.bootstrap


def environment(bootstrap: str, prefix: str) -> dict[str, str]:
    topics = {
        f"AFTCAST_TOPICS__{topic.upper()}": f"{prefix}-{name}"
        for topic, name in Configuration().topics.model_dump(exclude={"partitions"}).items()
    }
    own = {"AFTCAST_KAFKA__BOOTSTRAP_SERVERS": bootstrap, "AFTCAST_KAFKA__GROUP": prefix}
    return topics | own | {"AFTCAST_TOPICS__PARTITIONS": "2"}


@pytest.fixture
def configured(broker: str, request: pytest.FixtureRequest) -> Configuration:
    prefix = re.sub(r"\W", "-", request.node.name)[:60]
    configuration = load(environment=environment(broker, prefix))
    set_up_topics(configuration)
    return configuration


def forbid(configuration: Configuration, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Leave this client everything on a topic or group but one operation."""
    rules = [
        AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", one, permission)
        for one, permission in (
            (AclOperation.ALL, AclPermissionType.ALLOW),
            (operation, AclPermissionType.DENY),
        )
    ]
    admin = AdminClient(configuration.kafka.client_options())
    for made in admin.create_acls(rules).values():
        made.result(10)


def named(configuration: Configuration, *begins: str) -> dict[str, Finding]:
    found = kafka_findings(configuration)
    return {one.item: one for one in found if one.item.startswith(begins)}


def within(look: Callable[[], bool], s: float = 20.0) -> None:
    ends_s = time.monotonic() + s
    while not look():
        assert time.monotonic() < ends_s
        time.sleep(0.1)


def test_a_user_with_every_right_is_told_so(configured: Configuration) -> None:
    text = "this client may do what streams and raw need in Kafka"
    assert named(configured, "rights") == {"rights": Finding("ok", "rights", text)}


def test_rights_that_are_lacking_are_named_with_the_command_that_gives_them(
    configured: Configuration, broker: str
) -> None:
    alerts, group = configured.topics.alerts, f"{configured.kafka.group}-raw"
    forbid(configured, ResourceType.TOPIC, alerts, AclOperation.WRITE)
    forbid(configured, ResourceType.TOPIC, configured.topics.journal, AclOperation.DESCRIBE)
    forbid(configured, ResourceType.GROUP, group, AclOperation.READ)
    # Rules reach the broker by the log of the cluster.
    within(lambda: len(named(configured, "rights o")) == 2)
    found = named(configured, "rights", f"topic {configured.topics.journal}")
    command = f"kafka-acls.sh --bootstrap-server {broker} --add --allow-principal User:NAME"
    assert found == {
        f"rights on topic {alerts}": Finding(
            "failure",
            f"rights on topic {alerts}",
            "this client may not Write, which streams needs",
            f"{command} --operation Write --topic {alerts}",
        ),
        # It may be one of several users.
        "rights of raw": Finding(
            "warning",
            "rights of raw",
            "this client may not join its group, so it must run as another user",
            "aftcast privileges --part raw prints what that user needs",
        ),
        # It is there, and `aftcast setup` is not what it needs.
        f"topic {configured.topics.journal}": Finding(
            "failure",
            f"topic {configured.topics.journal}",
            "this user may not know of it (what detectors consumed)",
            f"kafka-acls.sh --add --allow-principal User:NAME --topic {configured.topics.journal}"
            " --operation Describe",
        ),
    }


def test_a_user_that_only_looks_lacks_nothing_and_one_that_writes_lacks_its_group(
    configured: Configuration,
) -> None:
    for group in (configured.kafka.group, f"{configured.kafka.group}-raw"):
        forbid(configured, ResourceType.GROUP, group, AclOperation.READ)
    within(lambda: "rights of raw" in named(configured, "rights"))
    lacking = named(configured, "rights")
    assert lacking[f"rights on group {configured.kafka.group}"].grade == "failure"
    forbid(configured, ResourceType.TOPIC, configured.topics.pane_updates, AclOperation.WRITE)
    within(lambda: list(named(configured, "rights")) == ["rights"])
    (found,) = named(configured, "rights").values()
    assert (found.grade, found.text.split(":")[0]) == (
        "ok",
        "this client may look, and run no part of a worker",
    )


def clock(configuration: Configuration, ahead_ms: int) -> Finding:
    places = [(configuration.topics.labels, partition) for partition in range(2)]
    admin = KafkaAdmin(configuration.kafka.client_options())
    return kafka_clock_finding(admin, places, lambda: time.time_ns() // 1_000_000 + ahead_ms)


def seen(configuration: Configuration, ahead_ms: int) -> Finding:
    """Look until a record came just then; on a busy machine none may have."""
    looks: list[Finding] = []

    def told() -> bool:
        looks.append(clock(configuration, ahead_ms))
        return not looks[-1].text.startswith("not told")

    within(told)
    return looks[-1]


def test_a_clock_that_is_apart_shows_by_records_that_come_and_one_that_is_ahead_by_any(
    configured: Configuration,
) -> None:
    assert clock(configured, 0).text.startswith("not told: no record came within a second")
    producer = Producer(configured.kafka.client_options())
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.05):
            producer.produce(configured.topics.labels, b"{}", b"k")
            producer.flush(5)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        together, behind, ahead = (seen(configured, ahead_ms) for ahead_ms in (0, 90_000, -20_000))
    finally:
        stop.set()
        sending.join()
    assert together.grade == "ok"
    # A look takes its time, and by that much a clock can be nearer.
    assert behind.grade == "failure"
    said = r"the brokers' clock is (8\d|90) s behind this machine's: idle partitions would close panes .*"
    assert re.fullmatch(said, behind.text)
    assert ahead.grade == "warning"
    assert re.match(r"the brokers' clock is (1\d|20) s ahead of this machine's:", ahead.text)
    # Without traffic a record that is older than it could be tells nothing, one from the future does.
    assert clock(configured, 90_000).grade == "ok"
    assert clock(configured, -90_000).grade == "failure"


def test_every_item_that_is_not_well_has_a_remedy_in_one_line(configured: Configuration, broker: str) -> None:
    told = environment(broker, configured.kafka.group) | {"AFTCAST_CLICKHOUSE__URL": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-m", "aftcast.cli", "check", "--json"],
        env=os.environ | told, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["ok"], found["failures"]) == (False, 1)
    for one in found["findings"]:
        assert bool(one["remedy"]) == (one["grade"] != "ok"), one
        assert "\n" not in one["text"] + one["remedy"]
    items = {one["item"] for one in found["findings"]}
    assert {"kafka", "kafka version", "replication", "partition counts", "rights", "clock of kafka"} <= items
