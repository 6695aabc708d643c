"""A ClickHouse of each kind, and a migrated, empty database in it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from demo_data import write_demo_data

from sinks.clickhouse.client import Client, connect
from sinks.clickhouse.migrate import migrate

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
def demo(clickhouse_embedded_url: str) -> Iterator[Client]:
    """Give a day and more of simulated traffic, for statements that only read."""
    client = connect(clickhouse_embedded_url)
    write_demo_data(client, "aftcast")
    yield client
    client.command("DROP DATABASE aftcast")
    client.close()


@pytest.fixture(scope="session")
def clickhouse_http_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("clickhouse") / "served"
    command = [sys.executable, "-m", "sinks.clickhouse.http_server", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


def empty(client: Client) -> None:
    written = client.rows(
        "SELECT name FROM system.tables "
        "WHERE database = currentDatabase() AND total_rows > 0 AND name != 'migrations'"
    )
    for row in written:
        client.command(f"TRUNCATE TABLE {row['name']}")


@pytest.fixture(scope="session", params=["embedded", "http"])
def clickhouse_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"clickhouse_{request.param}_url")
    return url


def migrated_at(url: str) -> Iterator[Database]:
    client = connect(url)
    migrate(client, DATABASE)
    client.close()
    client = connect(url, database=DATABASE)
    yield Database(url, DATABASE, client)
    client.close()


@pytest.fixture(scope="session")
def migrated(clickhouse_url: str) -> Iterator[Database]:
    yield from migrated_at(clickhouse_url)


@pytest.fixture(scope="session")
def migrated_embedded(clickhouse_embedded_url: str) -> Iterator[Database]:
    yield from migrated_at(clickhouse_embedded_url)


@pytest.fixture
def embedded_database(migrated_embedded: Database) -> Iterator[Database]:
    """Give a migrated, empty database in the embedded engine, for what no transport can change."""
    yield migrated_embedded
    empty(migrated_embedded.client)


@pytest.fixture
def database(migrated: Database) -> Iterator[Database]:
    """Give a migrated, empty database, once embedded and once over HTTP."""
    yield migrated
    empty(migrated.client)


@pytest.fixture
def fresh_name(clickhouse_url: str) -> Iterator[str]:
    """Give the name of a database that is not there yet."""
    yield "aftcast_fresh"
    client = connect(clickhouse_url)
    client.command("DROP DATABASE IF EXISTS aftcast_fresh")
    client.close()
