"""Panels of features show windows whose features have all come: before that they look missing."""

from typing import Any

import pytest
from grafana_words import panels_of, sent
from test_dashboards import CHOICES, DOCUMENTS

START_S = 2_524_608_000  # 2050-01-01, so that no TTL ever takes a test's rows
PANELS = ("Newest window of each feature", "PSI by feature")


def write(database: Any, table: str, partition: int, minutes: range, more: str = "") -> None:
    names = "pane_start, partition, revision, model, predictions"
    if table == "feature_rollups":
        names = "pane_start, partition, revision, model, n, signal, feature, other"
    database.client.command(
        f"INSERT INTO {table} ({names}) SELECT toDateTime({START_S} + 60 * number, 'UTC'), {partition}, 1, "  # noqa: S608
        f"'m', 10{more} FROM numbers({minutes.start}, {len(minutes)})"
    )


def windows(database: Any, title: str) -> list[int]:
    """Return the hours that a panel shows, counted from the first."""
    (panel,) = (panel for panel in panels_of(DOCUMENTS["debug"]) if panel["title"] == title)
    chosen = {**CHOICES, "model": "m", "feature": "f"}
    statement = sent(panel["targets"][0]["rawSql"], chosen, START_S, START_S + 86_400)
    rows = database.client.rows(statement.replace("aftcast.", ""))
    moments = [row.get("time") or row["window_start"] for row in rows]
    return [(int(moment.timestamp()) - START_S) // 3600 for moment in moments]


@pytest.fixture
def two_partitions(embedded_database: Any) -> Any:
    """Give counts of two hours from two partitions, features of the first hour, and a reference."""
    for partition in (0, 1):
        write(embedded_database, "rollups", partition, range(120))
        write(embedded_database, "feature_rollups", partition, range(60), ", 'feature', 'f', 10")
    embedded_database.client.command(
        "INSERT INTO feature_references "
        "(model, signal, feature, reference_version, predictions, n, rest, counts, values, "
        "level_per_s, as_of) VALUES "
        "('m', 'feature', 'f', 'r', 100, 100, 100, [0], [0], 1e-9, '2049-12-31 00:00:00')"
    )
    return embedded_database


@pytest.mark.parametrize("title", PANELS)
def test_a_window_is_shown_when_the_features_of_its_last_pane_have_come_from_every_partition(
    two_partitions: Any, title: str
) -> None:
    assert windows(two_partitions, title) == [0]
    write(two_partitions, "feature_rollups", 0, range(60, 120), ", 'feature', 'f', 10")
    assert windows(two_partitions, title) == [0]
    write(two_partitions, "feature_rollups", 1, range(60, 119), ", 'feature', 'f', 10")
    assert windows(two_partitions, title) == [0]
    write(two_partitions, "feature_rollups", 1, range(119, 120), ", 'feature', 'f', 10")
    assert windows(two_partitions, title)[-1] == 1


def test_where_no_features_come_any_more_every_window_shows_it(two_partitions: Any) -> None:
    for partition in (0, 1):
        write(two_partitions, "rollups", partition, range(120, 300))
    assert windows(two_partitions, PANELS[0]) == [4]
