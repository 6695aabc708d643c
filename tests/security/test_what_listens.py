"""Everything that listens is known, and on this machine only unless it was told otherwise."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from aftcast.configuration import Configuration
from sinks.clickhouse import http_server

ROOT = Path(__file__).parents[2]
# Calls that make a socket listen, and those that only look whether a port is free.
LISTENS = {"TCPSite", "UnixSite", "start_http_server", "HTTPServer", "ThreadingHTTPServer", "create_server",
           "start_server", "listen", "run_app"}  # fmt: skip
KNOWN = {
    "streams/worker/metrics.py": {"start_http_server"},
    "sinks/clickhouse/http_server.py": {"TCPSite"},
    "aftcast/page/serving.py": {"TCPSite"},
}


def calls(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found |= {name} & LISTENS
    return found


def test_nothing_listens_that_the_page_on_security_does_not_list() -> None:
    files = [
        file
        for package in ("aftcast", "schemas", "sinks", "streams")
        for file in (ROOT / package).rglob("*.py")
    ]
    assert {str(file.relative_to(ROOT)): found for file in files if (found := calls(file))} == KNOWN
    listed = (ROOT / "docs" / "security.md").read_text("utf-8").split("## What listens")[1].split("\n## ")[0]
    configuration = Configuration()
    for port in (configuration.metrics.port, configuration.page.port, 8123):
        assert f"127.0.0.1:{port}" in listed


def test_every_listener_is_on_this_machine_unless_it_is_told_otherwise() -> None:
    configuration = Configuration()
    assert {configuration.metrics.host, configuration.page.host, http_server.HOST} == {"127.0.0.1"}


def test_a_worker_with_all_its_pages_opens_no_port_to_the_network(tmp_path: Path) -> None:
    environment = {
        "AFTCAST_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "AFTCAST_CLICKHOUSE__URL": "http://127.0.0.1:1",
        "AFTCAST_METRICS__PORT": "0",
        "AFTCAST_PAGE__PORT": "0",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "aftcast.cli", "worker", "--role", "raw", "--page"],
            env=os.environ | environment,
            stdout=log,
            stderr=log,
            cwd=tmp_path,
        )
    try:
        ends_s = time.monotonic() + 40
        listening: list[str] = []
        while len(listening) < 2 and process.poll() is None and time.monotonic() < ends_s:
            time.sleep(0.1)
            found = psutil.Process(process.pid).net_connections("inet")
            listening = [one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN]
    finally:
        process.kill()
        process.wait()
    assert listening == ["127.0.0.1"] * 2, (tmp_path / "log").read_text()


@pytest.mark.parametrize("file", ["docker-compose.yml"])
def test_the_compose_file_publishes_ports_on_this_machine_only(file: str) -> None:
    lines = (ROOT / file).read_text("utf-8").splitlines()
    published = [line.strip()[2:].strip("\"'") for at, line in enumerate(lines) if _under_ports(lines, at)]
    assert published
    assert [one for one in published if not one.startswith(("127.0.0.1:", "${", "localhost:"))] == []


def _under_ports(lines: list[str], at: int) -> bool:
    if not lines[at].strip().startswith("- "):
        return False
    above = next((line for line in reversed(lines[:at]) if not line.strip().startswith(("- ", "#"))), "")
    return above.strip() == "ports:"
