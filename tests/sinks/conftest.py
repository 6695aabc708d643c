"""A ClickHouse of each kind, and a migrated, empty database in it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sinks.clickhouse.client import Client, connect
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.schema import TABLES

DATABASE = "aftcast_test"


@dataclass(frozen=True)
class Database:
    """A migrated database: where it is, its name, and a client for which names need no database."""

    url: str
    name: str
    client: Client


@pytest.fixture(scope="session")
def clickhouse_embedded_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    # One path for the whole process: the embedded engine can own only one.
    return f"chdb://{tmp_path_factory.mktemp('clickhouse') / 'embedded'}"


@pytest.fixture(scope="session")
def clickhouse_http_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("clickhouse") / "served"
    command = [sys.executable, "-m", "sinks.clickhouse.http_server", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


@pytest.fixture(scope="session", params=["embedded", "http"])
def clickhouse_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"clickhouse_{request.param}_url")
    return url


@pytest.fixture(scope="session")
def migrated(clickhouse_url: str) -> Iterator[Database]:
    client = connect(clickhouse_url)
    migrate(client, DATABASE)
    client.close()
    client = connect(clickhouse_url, database=DATABASE)
    yield Database(clickhouse_url, DATABASE, client)
    client.close()


@pytest.fixture
def database(migrated: Database) -> Iterator[Database]:
    """Give a migrated, empty database, once embedded and once over HTTP."""
    yield migrated
    for table in TABLES:
        migrated.client.command(f"TRUNCATE TABLE {table}")


@pytest.fixture
def fresh_name(clickhouse_url: str) -> Iterator[str]:
    """Give the name of a database that is not there yet."""
    yield "aftcast_fresh"
    client = connect(clickhouse_url)
    client.command("DROP DATABASE IF EXISTS aftcast_fresh")
    client.close()
