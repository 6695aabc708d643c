"""What `aftcast check` finds at ClickHouse and the registry: rights, disk, clock, version, and no answer."""

import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from aftcast import store_checks
from aftcast.findings import Finding
from aftcast.loading import load
from aftcast.setting_up import set_up_clickhouse
from aftcast.store_checks import clickhouse_findings, registry_findings
from aftcast.store_condition_checks import disk_finding, version_finding

ROOT = Path(__file__).parents[2]
USERS = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default>
<password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
<grants>{grants}</grants></default></users></clickhouse>"""
CONFIGURED = """<clickhouse><user_directories><users_xml><path>{users}</path></users_xml>
</user_directories></clickhouse>"""

Served = Callable[..., str]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Return a function that serves an engine whose one user has these grants, and gives its address."""
    servers = []

    def serve(*grants: str, path: str = "data") -> str:
        users, config = tmp_path / "users.xml", tmp_path / "config.xml"
        users.write_text(USERS.format(grants="".join(f"<query>{grant}</query>" for grant in grants)))
        config.write_text(CONFIGURED.format(users=users))
        place = f"{tmp_path / path}?config-file={config}"
        command = [sys.executable, "-m", "sinks.clickhouse.http_server", place, "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        servers.append(server)
        assert server.stdout is not None
        return server.stdout.readline().strip()

    yield serve
    for server in servers:
        server.terminate()
        server.wait(20)
        assert server.stdout is not None
        server.stdout.close()


def looked_at(url: str, ahead_ms: int = 0) -> dict[str, Finding]:
    configuration = load(environment={"AFTCAST_CLICKHOUSE__URL": url})
    found = clickhouse_findings(configuration, lambda: time.time_ns() // 1_000_000 + ahead_ms)
    for finding in found:
        assert bool(finding.remedy) == (finding.grade != "ok"), finding
    return {finding.item: finding for finding in found}


def test_the_grants_of_the_compose_file_are_enough_to_set_up_and_nothing_is_wrong_then(
    served: Served,
) -> None:
    writer = ET.parse(ROOT / "docker" / "clickhouse" / "writer.xml").getroot()  # noqa: S314 - our own
    url = served(*[str(grant.text) for grant in writer.iterfind("users/aftcast/grants/query")])
    assert looked_at(url)["database aftcast"].text == "does not exist"
    done = set_up_clickhouse(load(environment={"AFTCAST_CLICKHOUSE__URL": url}))
    assert {finding.grade for finding in done} == {"done"}
    found = looked_at(url)
    assert {finding.grade for finding in found.values()} <= {"ok", "warning"}
    assert found["grants"].text == "default may read, write and set up aftcast.*"
    assert found["clock of clickhouse"].grade == "ok"
    assert " GB are free" in found["disk default of clickhouse"].text
    # Of this machine, shifted: the server is behind it, and ahead of it.
    behind = looked_at(url, 90_000)["clock of clickhouse"]
    assert (behind.grade, behind.text.split(":")[0]) == ("failure", "its clock is 90 s behind this machine's")
    ahead = looked_at(url, -10_000)["clock of clickhouse"]
    assert (ahead.grade, ahead.text.split(":")[0]) == ("warning", "its clock is 10 s ahead of this machine's")


@pytest.mark.parametrize(
    ("granted", "grade", "text", "remedy"),
    [
        (
            ("SELECT",),
            "warning",
            "default may read aftcast.* and nothing else: the raw role and setup must run as others",
            "aftcast privileges prints what those need",
        ),
        (
            ("SELECT", "CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "DROP VIEW", "ALTER TABLE"),
            "failure",
            "default may not INSERT on aftcast.*: rows cannot be written or joined",
            "GRANT INSERT ON aftcast.* TO default",
        ),
        (
            ("SELECT", "INSERT", "CREATE DATABASE", "CREATE TABLE", "CREATE VIEW"),
            "warning",
            "default may not DROP VIEW, ALTER TABLE on aftcast.*, which aftcast setup does",
            "run aftcast setup as another user, or: GRANT DROP VIEW, ALTER TABLE ON aftcast.* TO default",
        ),
    ],
    ids=["reader", "builder", "writer"],
)
def test_a_right_that_is_lacking_is_named_with_the_statement_that_grants_it(
    served: Served, granted: tuple[str, ...], grade: str, text: str, remedy: str
) -> None:
    url = served(*[f"GRANT {right} ON aftcast.*" for right in granted])
    configuration = load(environment={"AFTCAST_CLICKHOUSE__URL": url})
    found = [one for one in clickhouse_findings(configuration) if one.item == "grants"]
    assert Finding(grade, "grants", text, remedy) in found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("free", "grade"), [(49, "failure"), (50, "warning"), (199, "warning"), (200, "ok"), (1_000, "ok")]
)
def test_a_disk_is_wrong_below_a_twentieth_and_doubtful_below_a_fifth(free: int, grade: str) -> None:
    assert disk_finding("default", free * 10**9, 1_000 * 10**9).grade == grade


@pytest.mark.parametrize(
    ("version", "grade"), [("26.2.9.1", "warning"), ("26.3.0.1", "ok"), ("26.9.2.1", "ok"), ("27.1", "ok")]
)
def test_a_version_that_nobody_tried_is_a_warning(version: str, grade: str) -> None:
    assert version_finding(version).grade == grade


def test_a_server_that_takes_the_connection_and_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_checks, "LOOK_WITHIN_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began_s = time.monotonic()
        found = looked_at(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - began_s < 10
    assert found["clickhouse"].grade == "failure"


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(HTTPStatus.UNAUTHORIZED)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_registry_that_refuses_the_user_is_told_with_its_answer() -> None:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        (found,) = registry_findings(load(environment={"AFTCAST_SCHEMA_REGISTRY__URL": url}))
        server.shutdown()
    remedy = "check [schema_registry] url, user and password"
    assert found == Finding("failure", "schema registry", f"{url} answers 401", remedy)
