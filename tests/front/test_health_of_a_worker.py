"""A real worker tells whether it is ready, while ClickHouse and the broker go away and come back."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_worker_command import Installation

from aftcast.kafka_broker import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def page(port: int, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=15) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def until(condition: Callable[[], Any], told: Callable[[], object]) -> None:
    ends_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_s, told()
        time.sleep(0.1)


def clickhouse(directory: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sinks.clickhouse.http_server", str(directory), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def test_a_worker_is_ready_once_all_is_there_and_names_what_goes_away(tmp_path: Path) -> None:
    store_port, port = free_port(), free_port()
    store = clickhouse(tmp_path / "ch", store_port)
    started = [store]

    def reasons() -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {}
        for reason in page(port, "readyz")[1].get("reasons", []):
            parts.setdefault(reason["part"], []).append(reason["reason"])
        return parts

    def ready() -> bool:
        return page(port, "readyz")[0] == 200

    try:
        with KafkaBroker(tmp_path / "kafka") as broker:
            installation = Installation(broker, f"http://127.0.0.1:{store_port}", tmp_path)
            installation.run("setup", "--partitions", "2")
            worker = installation.start("worker", "--metrics-port", str(port))
            started.append(worker)
            seen: list[int] = []
            until(lambda: seen.append(page(port, "readyz")[0]) or seen[-1] == 200, reasons)
            assert 503 in seen
            store.terminate()
            store.communicate(timeout=20)
            until(lambda: "clickhouse: not reachable" in str(reasons().get("raw")), reasons)
            assert page(port, "healthz") == (200, {"alive": True, "reasons": []})
            assert "streams" not in reasons()
            started.append(clickhouse(tmp_path / "ch", store_port))
            until(ready, reasons)
            broker.pause()
            until(lambda: "Kafka: not reachable" in str(reasons().get("streams")), reasons)
            broker.resume()
            until(ready, reasons)
            worker.send_signal(signal.SIGTERM)
            _, log = worker.communicate(timeout=30)
            assert worker.returncode == 0, log
    finally:
        for process in started:
            process.kill()
            process.communicate()
