"""``aftcast forward`` as a process on a real Kafka: to a web server here, and to a real Alertmanager."""

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

sys.path.insert(0, str(Path(__file__).parents[1] / "forward"))
from alert_events import alert
from receiver import Receiver

from aftcast.kafka_broker import KafkaBroker
from schemas.findings import AlertEvent
from schemas.messages import alert_document

pytestmark = pytest.mark.kafka
SECRET = "hunter2hunter2"  # noqa: S105
_names = itertools.count()


class Stage:
    """A pair of topics, and forwarders that are ended with the test."""

    def __init__(self, bootstrap: str, alerts: str, letters: str, folder: Path) -> None:
        self.bootstrap, self.alerts, self.letters, self.folder = bootstrap, alerts, letters, folder
        self.group = f"g-{alerts}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def tell(self, *events: AlertEvent, aborted: bool = False, partition: int = 0) -> None:
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "transactional.id": f"tx-{self.alerts}-{next(_names)}"}
        )
        producer.init_transactions(20)
        producer.begin_transaction()
        for event in events:
            value = json.dumps(alert_document(event))
            producer.produce(self.alerts, value, event.fingerprint, partition=partition)
        if aborted:
            producer.flush(20)
            producer.abort_transaction(20)
        else:
            producer.commit_transaction(20)

    def forward(self, *tables: dict[str, Any]) -> subprocess.Popen[bytes]:
        self.log = self.folder / f"log-{next(_names)}"
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "aftcast.cli", "forward"], env=self.environment(*tables), stderr=log
            )
        self.processes.append(process)
        return process

    def environment(self, *tables: dict[str, Any]) -> dict[str, str]:
        return {
            **os.environ,
            "AFTCAST_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "AFTCAST_KAFKA__GROUP": self.group,
            "AFTCAST_TOPICS__ALERTS": self.alerts,
            "AFTCAST_TOPICS__DEAD_LETTERS": self.letters,
            "AFTCAST_FORWARD": json.dumps(tables),
            "TARGET_SECRET": SECRET,
            "AFTCAST_METRICS__PORT": "0",
        }

    def committed(self, name: str) -> int:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        group = f"{self.group}-forward-{name}"
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(self.alerts, 0)])
        (found,) = admin.list_consumer_group_offsets([asked])[group].result(10).topic_partitions
        return found.offset

    def ends(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0, self.log.read_text()


@pytest.fixture
def stage(kafka: str, create_topic: Callable[..., str], tmp_path: Path) -> Iterator[Stage]:
    number = next(_names)
    stage = Stage(kafka, create_topic(f"alerts-{number}"), create_topic(f"letters-{number}"), tmp_path)
    yield stage
    for process in stage.processes:
        process.kill()
        process.wait()


def until(condition: Callable[[], Any], within_s: float = 20.0) -> Any:
    ends_s = time.monotonic() + within_s
    while not (found := condition()) and time.monotonic() < ends_s:
        time.sleep(0.1)
    assert found
    return found


def hook(name: str, receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "cloudevents", "url": receiver.url, "secret_env": "TARGET_SECRET", **more}


def test_a_new_group_tells_what_fires_then_each_event_once_also_over_a_restart(stage: Stage) -> None:
    stage.tell(alert("firing", "Old"), alert("resolved", "Old"), alert("firing", "Open"))
    with Receiver() as receiver:
        first = stage.forward(hook("a", receiver))
        assert [body["id"] for body in receiver.wait_for(1)] == ["Open-firing"]
        stage.tell(alert("firing", "Undone"), aborted=True)
        stage.tell(alert("firing", "New"))
        receiver.wait_for(2)
        stage.ends(first)
        stage.tell(alert("resolved", "Open"))
        stage.forward(hook("a", receiver))
        receiver.wait_for(3)
        time.sleep(1.0)
        ids = [body["id"] for body in receiver.wait_for(3)]
    assert ids == ["Open-firing", "New-firing", "Open-resolved"]
    assert SECRET not in stage.log.read_text()


def test_a_target_that_hangs_and_one_that_refuses_stop_no_other(stage: Stage) -> None:
    with (
        Receiver(answer=lambda _: None) as hangs,
        Receiver(answer=lambda _: (400, {})) as refuses,
        Receiver() as takes,
    ):
        tables = (
            hook("hangs", hangs, timeout="300ms"),
            {"name": "refuses", "kind": "pagerduty", "url": refuses.url, "secret_env": "TARGET_SECRET"},
            hook("takes", takes),
        )
        process = stage.forward(*tables)
        until(lambda: stage.log.read_text().count('"assigned"') == 3)
        stage.tell(alert("firing", "A"))
        takes.wait_for(1)
        stage.tell(alert("resolved", "A"), alert("firing", "B"))
        assert [body["id"] for body in takes.wait_for(3)] == ["A-firing", "A-resolved", "B-firing"]
        refuses.wait_for(3)
        assert {body["routing_key"] for body in refuses.wait_for(3)} == {SECRET}
        # The one that hangs is tried again and again, and nothing behind it is committed.
        assert {body["id"] for body in hangs.wait_for(2)} == {"A-firing"}
        until(lambda: stage.committed("takes") == stage.committed("refuses") > 0)
        assert stage.committed("hangs") <= 0
        stage.ends(process)
    log = stage.log.read_text()
    assert "no answer within 0.3 s" in log
    assert "refused, set aside" in log
    assert SECRET not in log
    letters = [json.loads(value) for value in read(stage.bootstrap, stage.letters, 3)]
    assert [letter["reason"] for letter in letters] == [
        "delivery_refused: refuses answered 400: said 400 to /"
    ] * 3
    assert {letter["topic"] for letter in letters} == {stage.alerts}
    assert SECRET not in str(letters)


def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = [message.value() for message in consumer.consume(count, 10)]
    consumer.close()
    return found


def page(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def figures(port: int) -> dict[str, float]:
    lines = page(port, "/metrics")[1].splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_its_own_page_counts_deliveries_retries_and_lag_and_says_why_it_is_not_ready(stage: Stage) -> None:
    stage.tell(alert("firing", "Past"), alert("resolved", "Past"))
    down = True
    answers_of: dict[bool, tuple[int, dict[str, str]]] = {True: (503, {}), False: (202, {})}
    with Receiver(answer=lambda r: (400, {}) if "Bad" in r.body["id"] else answers_of[down]) as receiver:
        process = stage.forward(hook("a", receiver))
        port = until(lambda: re.search(r'"metrics_port": ?(\d+)', stage.log.read_text()))[1]
        until(lambda: page(port, "/readyz")[0] == 200)
        # What was over before the group began is neither delivered nor behind.
        assert figures(port)['aftcast_forward_lag_records{target="a"}'] == 0
        stage.tell(alert("firing", "A"), alert("firing", "Bad"), alert("firing", "B"))
        receiver.wait_for(2)
        told = figures(port)
        assert told['aftcast_forward_retries_total{target="a"}'] >= 1
        assert told['aftcast_forward_failing_seconds{target="a"}'] > 0
        until(lambda: figures(port)['aftcast_forward_lag_records{target="a"}'] >= 3)
        status, text = page(port, "/readyz")
        assert status == 503
        (reason,) = json.loads(text)["reasons"]
        assert reason["part"] == "forward"
        assert re.fullmatch(
            r"a: nothing is taken for \d+ s \(answered 503: said 503 to /\)", reason["reason"]
        )
        assert page(port, "/healthz")[0] == 200
        down = False
        until(lambda: figures(port)['aftcast_forward_delivered_total{target="a"}'] == 2, 30)
        until(lambda: figures(port)['aftcast_forward_lag_records{target="a"}'] == 0)
        told = figures(port)
        assert told['aftcast_forward_refused_total{target="a"}'] == 1
        assert told['aftcast_forward_firing{target="a"}'] == 3
        assert told['aftcast_forward_failing_seconds{target="a"}'] == 0
        assert page(port, "/readyz")[0] == 200
        stage.ends(process)


def test_killed_before_the_answer_it_delivers_again_and_loses_nothing(stage: Stage) -> None:
    down = True
    with Receiver(answer=lambda _: (503, {}) if down else (202, {})) as receiver:
        first = stage.forward(hook("a", receiver))
        until(lambda: '"assigned"' in stage.log.read_text())
        stage.tell(alert("firing", "A"), alert("resolved", "A"))
        receiver.wait_for(1)
        first.kill()
        first.wait()
        down = False
        before = len(receiver.requests)
        stage.forward(hook("a", receiver))
        bodies = receiver.wait_for(before + 2, 40)[before:]
    assert [body["id"] for body in bodies] == ["A-firing", "A-resolved"]


def test_what_is_no_alert_and_what_no_format_can_hold_is_set_aside_and_the_next_is_delivered(
    stage: Stage,
) -> None:
    with Receiver() as receiver:
        stage.forward(hook("a", receiver))
        until(lambda: '"assigned"' in stage.log.read_text())
        producer = Producer({"bootstrap.servers": stage.bootstrap})
        far = json.dumps(alert_document(alert("firing", "Far", timestamp_ms=10**17)))
        for value in (b"", b"no json", b"[1]", b'{"status": "firing"}', far):
            producer.produce(stage.alerts, value, partition=0)
        assert producer.flush(20) == 0
        stage.tell(alert("firing"))
        assert [body["id"] for body in receiver.wait_for(1)] == ["AccuracyLow-firing"]
    reasons = [json.loads(value)["reason"] for value in read(stage.bootstrap, stage.letters, 5)]
    assert reasons[:4] == ["delivery_refused: a is no alert event"] * 4
    assert reasons[4].startswith("delivery_refused: a cannot be written down: year ")


def test_a_second_process_takes_over_what_the_first_could_not_deliver(
    stage: Stage, kafka_broker: KafkaBroker
) -> None:
    stage.alerts = kafka_broker.create_topic(stage.alerts + "-two", 2)
    down = True
    with Receiver(answer=lambda _: (503, {}) if down else (202, {})) as receiver:
        table = hook("a", receiver)
        first = stage.forward(table)
        until(lambda: '"assigned"' in stage.log.read_text())
        stage.tell(alert("firing", "A"), partition=0)
        stage.tell(alert("firing", "B"), partition=1)
        receiver.wait_for(2)
        # In the middle of its pauses the first one hands a partition over, and goes on with the other.
        stage.forward(table)
        until(lambda: '"assigned"' in stage.log.read_text())
        down = False
        before = len(receiver.requests)
        stage.tell(alert("resolved", "A"), partition=0)
        stage.tell(alert("resolved", "B"), partition=1)
        until(lambda: len({r.body["id"] for r in receiver.requests[before:]}) == 4, 40)
        ids = [request.body["id"] for request in receiver.requests[before:]]
        for name in "AB":
            own = [each for each in ids if each.startswith(name)]
            assert own[-1] == f"{name}-resolved"
            assert own[0] == f"{name}-firing"
        first.kill()


def test_a_dry_run_sends_nothing_and_shows_what_it_would(stage: Stage) -> None:
    stage.tell(alert("firing"), alert("corrected"), alert("resolved"))
    tables = {"name": "pd", "kind": "pagerduty", "url": "http://127.0.0.1:1", "secret_env": "TARGET_SECRET"}
    shown = subprocess.run(
        [sys.executable, "-m", "aftcast.cli", "forward", "--dry-run"],
        env=stage.environment(tables), capture_output=True, text=True, check=True,
    )  # fmt: skip
    bodies = [json.loads(line)["body"] for line in shown.stdout.splitlines()]
    assert [body["event_action"] for body in bodies] == ["trigger", "trigger", "resolve"]
    assert SECRET not in shown.stdout + shown.stderr


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """Return the address of a real Alertmanager, Debian's or upstream's, whose notices go to no one."""
    program = (
        os.environ.get("ALERTMANAGER")
        or shutil.which("prometheus-alertmanager")
        or shutil.which("alertmanager")
    )
    if program is None:
        pytest.skip("needs an Alertmanager on the PATH, or ALERTMANAGER=/path/to/it")
    (tmp_path / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        program, f"--config.file={tmp_path}/am.yml", f"--storage.path={tmp_path}/am",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with (tmp_path / "am.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or answers(url + "/-/ready"))
        assert process.poll() is None, (tmp_path / "am.log").read_text()
        yield url
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return answer.status == 200
    except OSError:
        return False


def known(url: str) -> dict[str, dict[str, Any]]:
    with urllib.request.urlopen(url + "/api/v2/alerts", timeout=5) as answer:  # noqa: S310
        return {found["fingerprint"]: found for found in json.load(answer)}


def test_a_real_alertmanager_fires_corrects_and_resolves_under_our_fingerprint(
    stage: Stage, alertmanager: str
) -> None:
    table = {"name": "am", "kind": "alertmanager", "url": alertmanager}
    strange = alert("firing", "Strange", labels={"model": 'ü "<>&\\ \U0001f600'})
    first = alert("firing")
    process = stage.forward(table)
    until(lambda: '"assigned"' in stage.log.read_text())
    stage.tell(first, strange)
    found = until(lambda: len(both := known(alertmanager)) == 2 and both)
    assert set(found) == {first.fingerprint, strange.fingerprint}
    one = found[first.fingerprint]
    assert one["labels"] == first.labels
    assert one["annotations"]["summary"] == first.summary
    assert one["startsAt"] == "2026-01-01T01:00:00.000Z"
    stage.tell(alert("corrected", summary="accuracy 0.84 after all"))
    until(
        lambda: known(alertmanager)[first.fingerprint]["annotations"]["summary"] == "accuracy 0.84 after all"
    )
    # A forwarder that comes back tells again all that fires, as an Alertmanager that lost it needs.
    stage.ends(process)
    again = stage.forward(table)
    until(lambda: known(alertmanager)[first.fingerprint]["updatedAt"] > one["updatedAt"])
    stage.tell(alert("resolved"), alert("retracted", "Strange", labels={"model": 'ü "<>&\\ \U0001f600'}))
    until(lambda: not known(alertmanager))
    stage.ends(again)
    assert "not delivered" not in stage.log.read_text()
