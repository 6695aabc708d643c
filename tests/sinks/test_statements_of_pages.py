"""Every statement of README and docs, in SQL blocks and behind `aftcast sql`, over simulated traffic."""

from collections.abc import Iterator

import pytest

from aftcast.reference.pages import pages
from aftcast.reference.shell import SHELL, commands
from sinks.clickhouse.client import Client, connect

BLOCKS = [block for page in pages() for block in page.blocks]
STATEMENTS = [
    # What nobody can run here must still be a statement.
    pytest.param(f"EXPLAIN AST {statement}" if block.not_run else statement, id=f"{block.place}, {number}")
    for block in BLOCKS
    if block.language == "sql"
    for number, statement in enumerate(filter(str.strip, block.text.split(";\n")), 1)
] + [
    pytest.param(command.words[2], id=f"{block.place}: {command.words[2][:40]}")
    for block in BLOCKS
    if block.language in SHELL
    for command in commands(block)
    if command.program == "aftcast" and command.words[1:2] == ("sql",)
]


@pytest.fixture(scope="module")
def asked(demo: Client, clickhouse_embedded_url: str) -> Iterator[Client]:
    """Choose the database as `aftcast sql` does."""
    client = connect(clickhouse_embedded_url, database="aftcast")
    yield client
    client.close()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_of_the_pages_runs_as_it_stands(asked: Client, statement: str) -> None:
    asked.rows(statement)
