"""`aftcast worker` on a real Kafka, with ClickHouse's engine behind HTTP: setup, simulate, look, stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.kafka_broker import KafkaBroker
from aftcast.raw_metrics import COUNTERS, LAGS, ROWS, WAITING, RawCollector
from aftcast.working import metrics_port, registry_of, worker_settings
from sinks.raw_writer import RawCounters

SUMS = """
SELECT model, model_version, sum(predictions) AS n FROM model_quality(window_seconds = 60)
WHERE segment = '' GROUP BY ALL ORDER BY ALL
"""
RAW = """
SELECT model, model_version, uniqExact(prediction_id) AS n FROM predictions GROUP BY ALL ORDER BY ALL
"""


class Installation:
    """A broker and a ClickHouse of its own, and the command line pointed at both."""

    def __init__(self, broker: KafkaBroker, clickhouse: str, directory: Path) -> None:
        self.environment = {
            **os.environ,
            "AFTCAST_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
            "AFTCAST_CLICKHOUSE__URL": clickhouse,
            "AFTCAST_DETECTION__MATURITY_HORIZON": "2m",
        }
        self._directory = directory

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "aftcast.cli", *arguments]
        return subprocess.Popen(
            command, env=self.environment, cwd=self._directory, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str) -> str:
        with self.start(*arguments) as process:
            try:
                output, errors = process.communicate(timeout=90)
            finally:
                process.kill()  # nothing, once it has ended
        assert process.returncode == 0, errors
        return output

    def rows(self, statement: str) -> list[dict[str, Any]]:
        lines = self.run("sql", statement, "--format", "JSONEachRow").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    command = [sys.executable, "-m", "sinks.clickhouse.http_server", str(tmp_path / "ch"), "--port", "0"]
    with (
        KafkaBroker(tmp_path / "kafka") as broker,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as clickhouse,
    ):
        assert clickhouse.stdout is not None
        yield Installation(broker, clickhouse.stdout.readline().strip(), tmp_path)
        clickhouse.terminate()


@pytest.mark.kafka
@pytest.mark.slow
def test_both_roles_count_what_was_sent_and_stop_with_code_0_when_told_to(installation: Installation) -> None:
    installation.run("setup", "--partitions", "2")
    with socket.socket() as probe, socket.socket() as other:
        probe.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, page_port = probe.getsockname()[1], other.getsockname()[1]
    worker = installation.start(
        "worker", "--metrics-port", str(port), "--page", "--page-port", str(page_port)
    )
    try:
        installation.run("simulate", "--duration", "2m", "--speed", "40", "--rate", "1000")
        until_s = time.monotonic() + 60
        raw: list[dict[str, Any]] = []
        sums: list[dict[str, Any]] = []
        while time.monotonic() < until_s and not (sums and raw == sums):
            time.sleep(1)
            raw, sums = installation.rows(RAW), installation.rows(SUMS)
        assert raw == sums
        assert {(row["model"], row["model_version"]) for row in raw} == {
            ("fraud", "3.1"),
            ("fraud", "3.2"),
            ("price", "12"),
        }
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
        written = [line for line in metrics.splitlines() if line.startswith("aftcast_raw_written_total ")]
        assert float(written[0].split()[1]) > 0, "the raw role is not on the same page"
        assert 'aftcast_labels_read_total{partition="0"}' in metrics
        question = f"http://127.0.0.1:{page_port}/api/joins?span=1h"
        with urllib.request.urlopen(question, timeout=20) as answer:
            shown = {tuple(row[:2]): row[2] for row in json.load(answer)["rows"]}
        assert shown == {(row["model"], row["model_version"]): int(row["n"]) for row in sums}
    finally:
        began_s = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        _, log = worker.communicate(timeout=30)
    assert worker.returncode == 0, log
    assert time.monotonic() - began_s < 10
    # What the log says is JSON, but for lines of librdkafka's own.
    events = [json.loads(line)["event"] for line in log.splitlines() if line.startswith("{")]
    assert "ready" in events
    assert "stopping" in events
    assert "Traceback" not in log


@pytest.mark.kafka
def test_a_worker_without_tables_ends_with_the_reason_and_a_code_that_is_not_0(
    installation: Installation,
) -> None:
    from aftcast.loading import load
    from aftcast.setting_up import set_up_topics

    configuration = load(environment={k: v for k, v in installation.environment.items() if "AFTCAST" in k})
    set_up_topics(configuration)
    installation.run("simulate", "--duration", "2s", "--rate", "200")
    worker = installation.start("worker", "--role", "raw", "--metrics-port", "0")
    _, log = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert "aftcast setup" in log.splitlines()[-1]
    assert "Traceback" not in log


def test_a_default_metrics_port_that_is_taken_moves_on_and_one_that_was_asked_for_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        asked = Configuration.model_validate({"metrics": {"port": port}})
        with pytest.raises(Failure, match=rf"^\[metrics\] port {port} is taken"):
            metrics_port(asked)
        by_default = asked.model_copy(
            update={"metrics": asked.metrics.model_construct(_fields_set=set(), port=port)}
        )
        assert port < metrics_port(by_default) < port + 20
    assert metrics_port(Configuration.model_validate({"metrics": {"port": 0}})) == 0


def test_a_metrics_host_that_is_not_ours_is_refused_by_name() -> None:
    other = Configuration.model_validate({"metrics": {"host": "192.0.2.1", "port": 0}})
    with pytest.raises(Failure, match=r"^\[metrics\] 192\.0\.2\.1:0 cannot be listened on \(Cannot assign"):
        metrics_port(other)


def test_the_raw_role_tells_prometheus_the_names_of_its_list_and_its_counts() -> None:
    registry = CollectorRegistry()
    counters = RawCounters(read=7, written=5)
    counters.rows["labels"] = 5
    counters.lag.assigned([("label-events", 0), ("label-events", 1)])
    counters.lag.ends(("label-events", 0), 3)
    counters.lag.ends(("label-events", 1), 4)
    registry.register(RawCollector(counters))
    text = generate_latest(registry).decode()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names == {f"{name}_total" for name in (*COUNTERS, ROWS)} | {WAITING} | dict(LAGS).keys()
    assert "aftcast_raw_read_total 7.0" in text
    assert "aftcast_raw_waiting 2.0" in text
    assert 'aftcast_raw_lag_records{topic="label-events"} 7.0' in text
    assert 'aftcast_raw_rows_total{table="labels"} 5.0' in text


def test_the_worker_is_told_what_the_configuration_says() -> None:
    configuration = Configuration.model_validate(
        {
            "kafka": {"group": "g", "instance": "i", "sasl_password": "secret"},
            "topics": {"labels": "l"},
            "metrics": {"host": "10.0.0.1"},
            "join": {"hot_horizon": "2h"},
            "schema_registry": {"url": "http://localhost:1", "user": "u", "password": "p"},
        }
    )
    settings = worker_settings(configuration)
    assert (settings.group, settings.instance, settings.topics.labels) == ("g", "i", "l")
    assert settings.join.hot_horizon_ms == settings.monitor.maturity_horizon_ms == 7_200_000
    assert settings.metrics_host == "10.0.0.1"
    assert (settings.session_s, worker_settings(Configuration()).session_s) == (30.0, 6.0)
    assert settings.kafka["sasl.password"] == "secret"
    assert registry_of(configuration) is not None
    assert registry_of(Configuration()) is None
