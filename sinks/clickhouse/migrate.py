"""Brings a database to this version: its tables step by numbered step, each once, then its views."""

import re
from importlib.resources import files
from string import Template

from sinks.clickhouse.client import Client
from sinks.clickhouse.errors import NewerDatabaseError
from sinks.clickhouse.views import create_views

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
STATEMENT_END = re.compile(r";\s*(?:\n|$)")
COMMENT = re.compile(r"--[^\n]*")
APPLIED = """
CREATE TABLE IF NOT EXISTS {database}.migrations
(
    number UInt32,
    name String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY number
"""


def migrations() -> list[tuple[int, str, str]]:
    """Return number, name and text of every migration that ships, in order.

    Examples
    --------
    >>> [number for number, _, _ in migrations()][:2]
    [1, 2]
    """
    shipped = []
    for file in files("sinks.clickhouse").joinpath("migrations").iterdir():
        if file.name.endswith(".sql"):
            name = file.name.removesuffix(".sql")
            shipped.append((int(name.split("_", 1)[0]), name, file.read_text("utf-8")))
    return sorted(shipped)


def migrate(client: Client, database: str = "aftcast") -> list[str]:
    """Create the database, its tables and views, or what is missing of them.

    A step that was cut off is run again from its start: every statement of a migration leaves alone what
    is there already. Numbers may have gaps. Views are no data: those whose text is not this version's are
    created anew, whatever made them.

    Returns
    -------
    list of str
        What was done and what was there, one line each. A second call does nothing.

    Raises
    ------
    NewerDatabaseError
        If a newer aftcast migrated this database: nothing is touched then.
    """
    if not NAME.fullmatch(database):
        raise ValueError(f'clickhouse.database must be letters, digits and underscores; got "{database}"')
    lines = []
    if client.rows(f"SELECT name FROM system.databases WHERE name = '{database}'"):  # noqa: S608 - checked above
        lines.append(f"clickhouse: database {database} is there")
    else:
        client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
        lines.append(f"clickhouse: database {database} created")
    client.command(APPLIED.format(database=database))
    applied = applied_migrations(client, database)
    steps = migrations()
    newest = steps[-1][0]
    if unknown := [name for number, name in applied.items() if number > newest]:
        raise NewerDatabaseError(
            f"clickhouse: database {database} has migration {unknown[-1]}, this aftcast knows up to "
            f"{steps[-1][1]}; upgrade aftcast, or name another database in clickhouse.database"
        )
    for number, name, text in steps:
        if number in applied:
            lines.append(f"clickhouse: migration {name} was applied before")
            continue
        for statement in STATEMENT_END.split(Template(text).substitute(database=database)):
            if COMMENT.sub("", statement).strip():
                client.command(statement)
        client.command(f"INSERT INTO {database}.migrations (number, name) VALUES ({number}, '{name}')")  # noqa: S608
        lines.append(f"clickhouse: migration {name} applied")
    return lines + create_views(client, database)


def applied_migrations(client: Client, database: str = "aftcast") -> dict[int, str]:
    """Return number and name of each migration that this database has, in order."""
    rows = client.rows(f"SELECT number, name FROM {database}.migrations FINAL ORDER BY number")  # noqa: S608
    return {row["number"]: row["name"] for row in rows}
