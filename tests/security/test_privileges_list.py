"""The list of rights: every statement of it is grammar, and what setup runs is what setup is granted."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aftcast.cli import app
from aftcast.configuration import Configuration
from aftcast.privileges import CLUSTER, PARTS, clickhouse_rights, kafka_rights
from sinks.clickhouse.client import Client, connect
from sinks.clickhouse.migrate import migrate

# What each statement needs, by its first words: https://clickhouse.com/docs/sql-reference/statements/grant
NEEDS = {
    "CREATE DATABASE": {"CREATE DATABASE"},
    "CREATE TABLE": {"CREATE TABLE"},
    "CREATE MATERIALIZED VIEW": {"CREATE VIEW"},
    "CREATE VIEW": {"CREATE VIEW"},
    "CREATE OR REPLACE VIEW": {"CREATE VIEW", "DROP VIEW"},
    "ALTER TABLE": {"ALTER TABLE"},
    "INSERT INTO": {"INSERT"},
    "SELECT": {"SELECT"},
}


@pytest.fixture(scope="module")
def engine(engine_url: str) -> Iterator[Client]:
    client = connect(engine_url)
    yield client
    client.close()


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["privileges", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_grant_is_a_statement_that_clickhouse_understands(engine: Client) -> None:
    grants = re.findall(r"--query '(.+)'", printed())
    assert len(grants) == sum(map(len, clickhouse_rights("aftcast").values())) == 5
    for grant in grants:
        assert engine.rows(f"EXPLAIN AST {grant}")[0]["explain"].strip().startswith("GrantQuery")


def test_setup_runs_what_it_is_granted_and_is_granted_what_it_runs(
    engine: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    for name in ("command", "rows"):

        def noted(client: Any, statement: str, *rest: Any, run: Any = Client.__dict__[name]) -> Any:
            statements.append(re.sub(r"--[^\n]*|\s+", " ", statement).strip().upper())
            return run(client, statement, *rest)

        monkeypatch.setattr(Client, name, noted)
    migrate(engine, "rights")
    needed: set[str] = set()
    for statement in statements:
        begins = [words for words in NEEDS if statement.startswith(words)]
        assert begins, statement
        needed |= NEEDS[max(begins, key=len)]
    (granted,) = clickhouse_rights("rights")["setup"]
    names, _, on = granted.partition(" ON ")
    assert on == "rights.*"
    assert set(names.split(", ")) == needed


def test_only_setup_may_create_and_only_the_raw_role_writes() -> None:
    granted = clickhouse_rights("aftcast")
    assert {part for part, each in granted.items() if "CREATE" in " ".join(each)} == {"setup"}
    assert {part for part, each in granted.items() if "INSERT" in " ".join(each)} == {"setup", "raw"}
    for part, rights in kafka_rights(Configuration()).items():
        operations = {operation for right in rights for operation in right.operations}
        assert ("Create" in operations) == (part == "setup")
        assert operations.isdisjoint({"All", "ClusterAction", "Delete", "AlterConfigs"})
        assert all(right.name == CLUSTER or not right.name.startswith("*") for right in rights)
        assert all(right.operations == ("DescribeConfigs",) for right in rights if right.kind == "cluster")


def test_commands_name_user_topic_and_operations_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "aftcast.toml"
    file.write_text('[kafka]\ngroup = "g"\nbootstrap_servers = "k:9093"\n[topics]\nstate = "s"\n')
    lines = printed("--part", "streams", "--user-prefix", "team-", "--config", str(file)).splitlines()
    assert lines[0] == f"# {PARTS['streams']}"
    calls = [shlex.split(line) for line in lines[1:]]
    assert all(call[:3] == ["kafka-acls.sh", "--bootstrap-server", "k:9093"] for call in calls)
    assert all("User:team-streams" in call for call in calls)
    assert [
        "--operation", "Write", "--transactional-id", "g-s-", "--resource-pattern-type", "prefixed"
    ] in [call[6:] for call in calls]  # fmt: skip


def test_as_json_it_is_the_list_itself() -> None:
    document = json.loads(printed("--json"))
    assert list(document) == list(PARTS)
    assert document["forward"]["kafka"][0] == {
        "kind": "topic", "name": "alert-events", "prefixed": False, "operations": ["Read"],
    }  # fmt: skip


def test_an_unknown_part_is_refused_with_those_that_there_are() -> None:
    result = CliRunner().invoke(app, ["privileges", "--part", "worker"])
    assert str(result.exception) == (
        '--part must be one of setup, streams, raw, forward, reader, check, producer; got "worker"'
    )
