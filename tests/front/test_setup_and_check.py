"""`aftcast setup`, `check`, `alerts`, `dead-letters` and `sql`, on a real Kafka and ClickHouse's engine."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import orjson
import pytest
from command_line import run as run_in
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ResourceType
from confluent_kafka.admin._config import ConfigResource

from aftcast.configuration import Configuration
from aftcast.kafka_admin import KafkaAdmin
from aftcast.kafka_broker import KafkaBroker
from aftcast.kafka_checks import kafka_findings
from aftcast.loading import load
from aftcast.setting_up import set_up_topics
from aftcast.topic_plan import topic_plans
from schemas.findings import AlertEvent
from schemas.messages import alert_document

Run = Callable[..., subprocess.CompletedProcess[str]]

ALERT = AlertEvent(
    event_id="e1",
    fingerprint="f1",
    status="firing",
    severity="page",
    rule="accuracy-low",
    kind="threshold",
    model="fraud",
    model_version="3.1",
    window_start_ms=1_767_225_600_000,
    window_end_ms=1_767_229_200_000,
    started_at_ms=1_767_229_200_000,
    timestamp_ms=1_767_229_200_000,
    summary="fraud 3.1: accuracy 0.75 is below 0.85",
)


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a broker of its own: topics of other tests would stand in the way."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap


def configured(bootstrap: str, prefix: str = "", **keys: str) -> Configuration:
    environment = {"AFTCAST_KAFKA__BOOTSTRAP_SERVERS": bootstrap, "AFTCAST_TOPICS__PARTITIONS": "2", **keys}
    for topic, name in Configuration().topics.model_dump(exclude={"partitions"}).items():
        environment.setdefault(f"AFTCAST_TOPICS__{topic.upper()}", prefix + name)
    return load(environment=environment)


def alter(bootstrap: str, topic: str, setting: str, value: str) -> None:
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    next(iter(admin.incremental_alter_configs([resource]).values())).result(10)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs the command line as a person does, without a terminal."""

    return partial(run_in, cwd=tmp_path)


@pytest.mark.kafka
def test_setup_creates_every_topic_with_its_settings_and_a_second_run_changes_nothing(
    own_kafka: str, run: Run, tmp_path: Path
) -> None:
    environment = {
        "AFTCAST_KAFKA__BOOTSTRAP_SERVERS": own_kafka,
        "AFTCAST_CLICKHOUSE__URL": f"chdb://{tmp_path}/clickhouse",
    }
    first = run("setup", "--partitions", "3", **environment)
    assert first.returncode == 0, first.stderr
    assert "one" in first.stdout  # that topics have one copy on one broker is said aloud
    assert "things created" in first.stdout
    configuration = configured(own_kafka)
    admin = KafkaAdmin(configuration.kafka.client_options())
    _, partitions = admin.cluster()
    plans = topic_plans(configuration, 1)
    settings = admin.topic_settings(plan.name for plan in plans)
    for plan in plans:
        assert partitions[plan.name] == 3
        assert settings[plan.name].items() >= plan.settings.items()

    second = run("setup", **environment)
    assert second.returncode == 0, second.stderr
    assert second.stdout.endswith("everything was there already; nothing was changed\n")
    assert admin.topic_settings(plan.name for plan in plans) == settings

    check = run("check", "--json", **environment)
    assert check.returncode == 0, check.stdout
    found = json.loads(check.stdout)
    assert found["ok"] is True
    assert {finding["grade"] for finding in found["findings"]} <= {"ok", "warning"}


@pytest.mark.kafka
def test_check_names_each_fault_with_its_remedy(own_kafka: str) -> None:
    configuration = configured(own_kafka, "faulty-")
    assert {finding.grade for finding in set_up_topics(configuration)} == {"done", "warning"}
    topics = configuration.topics
    alter(own_kafka, topics.labels, "cleanup.policy", "compact")
    alter(own_kafka, topics.inference, "retention.ms", "3600000")
    alter(own_kafka, topics.inference, "message.timestamp.type", "CreateTime")
    alter(own_kafka, topics.state, "cleanup.policy", "delete")
    alter(own_kafka, topics.journal, "min.cleanable.dirty.ratio", "0.5")
    alter(own_kafka, topics.journal, "segment.bytes", "1073741824")
    faults = {
        (finding.item, finding.text.split(":")[0]): finding.remedy
        for finding in kafka_findings(configuration)
        if finding.grade == "failure"
    }
    assert set(faults) == {
        (f"topic {topics.labels}", "cleanup.policy is compact, must be delete"),
        (f"topic {topics.inference}", "retention is 1h, the hot horizon 24h"),
        (f"topic {topics.inference}", "record times are the producers', without a limit"),
        (f"topic {topics.state}", "cleanup.policy is delete, must be compact"),
    }
    assert all(remedy.startswith("kafka-configs.sh --alter") for remedy in faults.values())
    slow = {
        finding.text.split(":")[0]
        for finding in kafka_findings(configuration)
        if finding.item == f"topic {topics.journal}" and finding.grade == "warning"
    }
    assert slow == {
        "segment.bytes is 1073741824, above 67108864",
        "min.cleanable.dirty.ratio is 0.5, above 0.1",
    }
    # The other way to keep clocks in check is accepted too.
    alter(own_kafka, topics.inference, "message.timestamp.after.max.ms", "300000")
    texts = [finding.text for finding in kafka_findings(configuration)]
    assert not any("record times" in text for text in texts)


@pytest.mark.kafka
def test_setup_leaves_existing_topics_alone_and_gives_new_ones_their_count(own_kafka: str) -> None:
    configuration = configured(own_kafka, "given-")
    admin = KafkaAdmin(configuration.kafka.client_options())
    plan = topic_plans(configuration, 1)[0]
    admin.create(type(plan)(plan.name, "", 5, {"cleanup.policy": "compact"}), 1)
    findings = set_up_topics(configuration)
    assert [finding.item for finding in findings if finding.grade == "failure"] == [
        f"topic {plan.name}",
        f"topic {plan.name}",
    ]
    _, partitions = admin.cluster()
    assert {partitions[other.name] for other in topic_plans(configuration, 1)} == {5}
    assert admin.topic_settings([plan.name])[plan.name]["cleanup.policy"] == "compact"


@pytest.mark.kafka
def test_unequal_partition_counts_are_a_failure_with_the_command_that_mends_them(own_kafka: str) -> None:
    configuration = configured(own_kafka, "unequal-")
    admin = KafkaAdmin(configuration.kafka.client_options())
    inference, labels, *_ = topic_plans(configuration, 1)
    admin.create(type(inference)(inference.name, "", 2, inference.settings), 1)
    admin.create(type(labels)(labels.name, "", 3, labels.settings), 1)
    failed = [finding for finding in set_up_topics(configuration) if finding.grade == "failure"]
    assert [finding.item for finding in failed] == ["partition counts"]
    remedies = [f.remedy for f in kafka_findings(configuration) if f.item == "partition counts"]
    assert remedies == [
        f"with the producers stopped: kafka-topics.sh --alter --topic {inference.name} --partitions 3"
    ]


@pytest.mark.kafka
def test_after_the_inputs_have_grown_setup_gives_the_state_its_partitions(own_kafka: str) -> None:
    configuration = configured(own_kafka, "grown-")
    set_up_topics(configuration)
    topics = configuration.topics
    admin = KafkaAdmin(configuration.kafka.client_options())
    for name in (topics.inference, topics.labels, topics.pane_updates):
        admin.grow(name, 5)
    wrong = [finding for finding in kafka_findings(configuration) if finding.grade == "failure"]
    assert [finding.text.split(":")[0] for finding in wrong] == [
        f"{topics.state} has 2, fewer than {topics.inference} with 5",
        f"{topics.journal} has 2, fewer than {topics.pane_updates} with 5",
    ]
    done = [finding.item for finding in set_up_topics(configuration) if finding.grade == "done"]
    assert done == [f"topic {topics.state}", f"topic {topics.journal}"]
    assert not [finding for finding in kafka_findings(configuration) if finding.grade == "failure"]


@pytest.mark.kafka
def test_labels_of_a_producer_with_another_partitioner_are_named_with_the_remedy(own_kafka: str) -> None:
    configuration = configured(own_kafka, "keys-")
    set_up_topics(configuration)
    topics = configuration.topics

    def send(topic: str, partitioner: str, *, label: bool) -> None:
        producer = Producer({"bootstrap.servers": own_kafka, "partitioner": partitioner})
        for number in range(200):
            event: dict[str, object] = {"prediction_id": f"p{number}", "timestamp": int(time.time() * 1000)}
            event |= {"label": 1} if label else {"model": "m", "prediction": 1}
            producer.produce(topic, orjson.dumps(event), f"p{number}")
        assert producer.flush(10) == 0

    def told() -> dict[str, tuple[str, str, str]]:
        found = [one for one in kafka_findings(configuration) if one.item.startswith("keys of")]
        return {one.item.split()[-1]: (one.grade, one.text, one.remedy) for one in found}

    assert {text.split(" ", 1)[1] for _, text, _ in told().values()} == {
        "records are too few to tell by which hash their producers go"
    }
    send(topics.inference, "murmur2_random", label=False)
    send(topics.labels, "consistent_random", label=True)
    assert told()[topics.inference] == ("ok", "placed by murmur2 (200 of the newest records)", "")
    grade, text, remedy = told()[topics.labels]
    assert grade == "failure"
    assert text.startswith(f"{topics.labels} is placed by CRC32 (librdkafka's default")
    assert remedy.startswith("set partitioner=murmur2_random in its producers")


@pytest.mark.kafka
def test_alerts_and_dead_letters_print_what_is_on_the_topics_and_end(own_kafka: str, run: Run) -> None:
    configuration = configured(own_kafka, "read-")
    set_up_topics(configuration)
    topics = configuration.topics
    producer = Producer({"bootstrap.servers": own_kafka})
    producer.produce(topics.alerts, orjson.dumps(alert_document(ALERT)), ALERT.fingerprint)
    for i, reason in enumerate(["id_reused", "wrong_type: $.label: got 1", "wrong_type: $.label: got 2"]):
        letter = {"topic": "labels", "partition": 0, "offset": i, "reason": reason, "field": "label"}
        producer.produce(topics.dead_letters, orjson.dumps({**letter, "value": "x", "received_at": i}))
    assert producer.flush(10) == 0
    environment = {
        "AFTCAST_KAFKA__BOOTSTRAP_SERVERS": own_kafka,
        "AFTCAST_TOPICS__ALERTS": topics.alerts,
        "AFTCAST_TOPICS__DEAD_LETTERS": topics.dead_letters,
    }
    shown = run("alerts", "--no-follow", **environment)
    assert shown.stdout == (
        "2026-01-01 01:00:00  firing     page    accuracy-low: fraud 3.1: accuracy 0.75 is below 0.85\n"
    )
    as_json = run("alerts", "--no-follow", "--json", **environment)
    assert json.loads(as_json.stdout) == alert_document(ALERT)
    letters = run("dead-letters", "--json", "--newest", "1", **environment)
    found = json.loads(letters.stdout)
    assert found["total"] == 3
    assert [(r["reason"], r["count"]) for r in found["reasons"]] == [("wrong_type", 2), ("id_reused", 1)]
    assert [letter["offset"] for letter in found["newest"]] == [2]
    plain = run("dead-letters", **environment).stdout.splitlines()
    assert plain[0] == f"3 dead letters in {topics.dead_letters}"
    assert len(plain) == 1 + 2 + 3


@pytest.mark.kafka
def test_simulated_events_arrive_on_the_partition_that_java_would_choose(own_kafka: str, run: Run) -> None:
    configuration = configured(own_kafka, "simulated-")
    set_up_topics(configuration)
    topics = configuration.topics
    ran = run(
        "simulate", "--duration", "20s", "--speed", "10", "--rate", "500",
        AFTCAST_KAFKA__BOOTSTRAP_SERVERS=own_kafka,
        AFTCAST_TOPICS__INFERENCE=topics.inference,
        AFTCAST_TOPICS__LABELS=topics.labels,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("sent ")
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": own_kafka, "group.id": "t", "auto.offset.reset": "earliest"})
    consumer.subscribe([topics.inference])
    messages = consumer.consume(200, timeout=20)
    consumer.close()
    assert len(messages) == 200
    for message in messages:
        assert message.partition() == (murmur2(message.key()) & 0x7FFFFFFF) % 2


def murmur2(data: bytes) -> int:
    """Return the hash that Kafka's own producer goes by."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    for i in range(0, len(data) - 3, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[len(data) // 4 * 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_where_nothing_answers_check_says_so_item_by_item_and_fails(run: Run) -> None:
    # Port 1 answers nobody.
    nowhere = {
        "AFTCAST_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "AFTCAST_CLICKHOUSE__URL": "http://127.0.0.1:1",
        "AFTCAST_SCHEMA_REGISTRY__URL": "http://127.0.0.1:1",
    }
    check = run("check", "--json", **nowhere)
    assert check.returncode == 1
    findings = {f["item"]: f for f in json.loads(check.stdout)["findings"] if f["grade"] == "failure"}
    assert set(findings) == {"kafka", "schema registry", "clickhouse"}
    assert all(f["remedy"] and "127.0.0.1:1" in f["text"] for f in findings.values())


def test_a_wrong_configuration_is_the_only_thing_that_check_looks_at(run: Run) -> None:
    check = run("check", AFTCAST_JOIN__HOT_HORIZON="soon")
    assert check.returncode == 1
    assert "AFTCAST_JOIN__HOT_HORIZON must be a duration above 0" in check.stdout
    assert check.stdout.count("failure") == 1
    assert "Traceback" not in check.stdout + check.stderr


def test_sql_prints_a_table_or_any_format_and_names_what_is_wrong(run: Run, tmp_path: Path) -> None:
    url = f"chdb://{tmp_path}/clickhouse"
    early = run("sql", "SELECT 1", "--url", url)
    assert early.returncode == 1
    assert "aftcast setup" in early.stderr
    # A process of its own: the engine lets go of a path only when its process ends.
    code = "from sinks.clickhouse.client import *; from sinks.clickhouse.migrate import *; import sys; "
    code += "migrate(connect(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, url], check=True, timeout=60)
    table = run("sql", "SELECT 1 AS a, 'x' AS b;", "--url", url)
    assert table.returncode == 0, table.stderr
    assert "┌─a─┬─b─┐" in table.stdout
    lines = run(
        "sql", "SELECT count() AS n FROM model_quality(window_seconds = 60)", "--url", url, "--format", "CSV"
    )
    assert lines.stdout == "0\n"
    wrong = run("sql", "SELECT nothing FROM nowhere", "--url", url)
    assert wrong.returncode == 1
    assert wrong.stderr.count("\n") == 1
    assert "Traceback" not in wrong.stderr
