"""The user that dashboards read as may ask all that they ask, and nothing else: on the real engine."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from grafana_words import panels_of, sent

from aftcast.dashboards import BOARDS, dashboard_json

READER = Path(__file__).parents[2] / "docker" / "clickhouse" / "reader.xml"
CONFIGURED = (
    "<clickhouse><user_directories><users_xml><path>{}</path></users_xml></user_directories></clickhouse>"
)
# In processes of their own: an engine reads its users once, and one path belongs to one process.
MIGRATE = """
import sys
from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
migrate(connect("chdb://" + sys.argv[1]), "aftcast")
"""
ASK = """
import chdb, json, sys
connection = chdb.connect(sys.argv[1])
def answer(statement):
    try:
        connection.query(statement, "JSONCompact")
    except Exception as error:
        return str(error)
    return ""
print(json.dumps([answer(statement) for statement in json.load(sys.stdin)]))
"""
CHOICES = dict.fromkeys(("model", "version", "segment", "feature"), "x") | {"window": "3600"}
SPAN_S = (1_767_225_600, 1_767_312_000)

Ask = Callable[[list[str]], list[str]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Return a function that asks as the user of reader.xml, and gives the error of each statement."""
    folder = tmp_path_factory.mktemp("reader")
    subprocess.run([sys.executable, "-c", MIGRATE, str(folder / "data")], check=True, timeout=60)
    users = ET.parse(READER).getroot()  # noqa: S314 - our own
    own, profile = users.find("users/reader"), users.find("profiles/reader")
    assert own is not None
    assert profile is not None
    # In the engine there is no log-in: its one user gets the reader's profile and grants. Which settings
    # may be changed although it is read-only, only a server can be told.
    own.tag = "default"
    password, constraints = own.find("password"), profile.find("constraints")
    assert password is not None
    assert constraints is not None
    password.attrib.clear()
    profile.remove(constraints)
    ET.SubElement(ET.SubElement(users, "quotas"), "default")
    profiles = users.find("profiles")
    assert profiles is not None
    ET.SubElement(profiles, "default")
    (folder / "users.xml").write_text(ET.tostring(users, "unicode"))
    (folder / "config.xml").write_text(CONFIGURED.format(folder / "users.xml"))

    def ask(statements: list[str]) -> list[str]:
        command = [sys.executable, "-c", ASK, f"{folder / 'data'}?config-file={folder / 'config.xml'}"]
        done = subprocess.run(
            command, input=json.dumps(statements), capture_output=True, text=True, timeout=120, check=True
        )
        errors: list[str] = json.loads(done.stdout)
        return errors

    return ask


def statements() -> Iterator[str]:
    for board in BOARDS:
        document = dashboard_json(board)
        for panel in panels_of(document):
            yield from (target["rawSql"] for target in panel["targets"] if "rawSql" in target)
        yield from (one["query"] for one in document["templating"]["list"] if one["type"] == "query")
        yield from (mark["target"]["rawSql"] for mark in document["annotations"]["list"])


def test_everything_that_boards_ask_is_allowed(ask: Ask) -> None:
    # One of each choice of tables and views: what is allowed depends on nothing else.
    asked = {
        frozenset(re.findall(r"aftcast\.\w+", text)): sent(text, CHOICES, *SPAN_S) for text in statements()
    }
    assert len(frozenset.union(*asked)) > 12
    assert [error for error in ask(list(asked.values())) if error] == []


def test_nothing_else_is(ask: Ask) -> None:
    refused = {
        "INSERT INTO aftcast.alerts (event_id) VALUES ('x')": "READONLY|ACCESS_DENIED",
        "DROP TABLE aftcast.alerts": "READONLY|ACCESS_DENIED",
        "CREATE DATABASE mine": "READONLY|ACCESS_DENIED",
        "SELECT * FROM url('http://127.0.0.1:1', CSV, 'x String')": "READONLY|ACCESS_DENIED",
        "SELECT * FROM file('/etc/passwd', LineAsString)": "READONLY|ACCESS_DENIED",
        "SET max_memory_usage = 1": "READONLY",
        "SET readonly = 0": "READONLY",
    }
    for (statement, codes), error in zip(refused.items(), ask(list(refused)), strict=True):
        assert any(f"({code})" in error for code in codes.split("|")), (statement, error)
