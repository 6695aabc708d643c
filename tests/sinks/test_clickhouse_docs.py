"""The page about ClickHouse names every table and view there is, and its statements run."""

import re
from pathlib import Path
from typing import Any

import pytest
from pane_oracle import Joined, pane_rows

from sinks.clickhouse.schema import TABLES, VIEWS
from sinks.clickhouse.writers import Writer

PAGE = (Path(__file__).parents[2] / "docs" / "clickhouse.md").read_text()
STATEMENTS = re.findall(r"```sql\n(.*?);\n```", PAGE, re.S)


def test_the_page_lists_every_table_and_every_view() -> None:
    listed = re.findall(r"^\| `(\w+)", PAGE, re.M)
    assert listed == [*VIEWS, *TABLES, "migrations"]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_of_the_page_runs_as_it_stands(embedded_database: Any, statement: str) -> None:
    t0_ms = 2_524_608_000_000  # 2050-01-01
    rows = pane_rows([Joined(t0_ms + i, "a", "b", True) for i in range(200)])
    Writer(embedded_database.client, embedded_database.name).write_rollups(rows)
    found = embedded_database.client.rows(statement)
    assert bool(found) == ("_quality" in statement)


def test_there_are_three_statements_to_try_and_one_for_auc() -> None:
    assert len(STATEMENTS) == 4
