"""Hours that are added up give the figures of their panes, to the last digit, whatever is written when."""

from typing import Any

import pytest
from hour_histories import T0_MS, Disturbed, History, killed, pass_time, rows_of
from pane_oracle import Joined, pane_rows

from aftcast.hour_building import HourThread
from schemas.panes import COUNTS
from sinks.clickhouse.client import Client
from sinks.clickhouse.errors import UnreachableError
from sinks.clickhouse.hours import HOURS_AT_ONCE, HourBuilder, WaitingHours
from sinks.clickhouse.writers import Writer

MINUTE_MS = 60_000


@pytest.fixture
def client(embedded_database: Any) -> Client:
    found: Client = embedded_database.client
    return found


@pytest.fixture
def name(embedded_database: Any) -> str:
    found: str = embedded_database.name
    return found


def write(client: Client, name: str, label: str = "a", revision: int = 1, hours: int = 2) -> None:
    """Write one pane in each of some hours of model m."""
    events = [Joined(T0_MS + i * 60 * MINUTE_MS, "a", label, True) for i in range(hours)]
    Writer(client, name).write_rollups(pane_rows(events, revision))


def built(client: Client, name: str) -> None:
    """Let time pass, build all that is quiet, and let time pass until it counts."""
    pass_time(client, 200, name)
    while HourBuilder(client, name).build():
        pass
    pass_time(client, 100, name)


def figures(client: Client, seconds: int = 3600) -> list[tuple[int, float]]:
    rows = client.rows(
        "SELECT predictions, hits_weight / class_weight AS right "  # noqa: S608
        f"FROM window_sums(window_seconds = {seconds}) ORDER BY window_start"
    )
    return [(row["predictions"], row["right"]) for row in rows]


def test_in_any_history_of_writers_and_builders_hours_equal_their_panes(client: Client, name: str) -> None:
    history = History(client, name, seed=1)
    happened = set()
    for _ in range(14):
        happened.add(what := history.step())
        assert rows_of(client, name, "window_rows") == rows_of(client, name, "pane_sums"), what
    assert happened > {"build", "killed", "label"}


def test_sums_of_panes_are_plain_sums_over_the_newest_rows(client: Client, name: str) -> None:
    History(client, name, seed=3)
    names = ", ".join(f"toInt64(sum(r.{n})) AS {n}" for n in COUNTS if n != "longs")
    plain = client.arrow(
        f"SELECT model, model_version, segment, toStartOfHour(r.pane_start) AS starts, {names} "  # noqa: S608
        "FROM rollups AS r FINAL GROUP BY model, model_version, segment, starts "
        "ORDER BY model, model_version, segment, starts"
    )
    assert rows_of(client, name, "pane_sums").select(plain.column_names).equals(plain)


def test_an_hour_that_was_built_answers_without_its_panes_until_one_is_written(
    client: Client, name: str
) -> None:
    write(client, name)
    built(client, name)
    client.command("TRUNCATE TABLE rollups")
    assert figures(client) == [(1, 1.0), (1, 1.0)]
    assert figures(client, 7200) == [(2, 1.0)]
    write(client, name, "b", revision=2, hours=1)
    assert figures(client) == [(1, 0.0), (1, 1.0)]


def test_windows_that_are_no_multiple_of_an_hour_read_panes(client: Client, name: str) -> None:
    write(client, name)
    built(client, name)
    client.command("TRUNCATE TABLE rollup_hours")
    assert figures(client) == []
    assert figures(client, 60) == [(1, 1.0), (1, 1.0)]
    assert figures(client, 5400) == [(2, 1.0)]


@pytest.mark.parametrize(("ms", "answers"), [(60_000, False), (60_001, True)])
def test_an_hour_answers_if_it_was_built_more_than_a_minute_after_its_last_touch(
    client: Client, name: str, ms: int, answers: bool
) -> None:
    write(client, name)
    built(client, name)
    client.command("TRUNCATE TABLE rollups")
    client.command("INSERT INTO hours SELECT model, hour_start, built_at, built_at FROM hours")
    client.command(
        "INSERT INTO hours SELECT model, hour_start, touched_at, "  # noqa: S608
        f"max(touched_at) + toIntervalMillisecond({ms}) FROM hours GROUP BY model, hour_start, touched_at"
    )
    pass_time(client, 200, name)
    assert bool(figures(client)) == answers


def test_an_hour_is_not_built_before_it_was_quiet_for_two_minutes(client: Client, name: str) -> None:
    write(client, name)
    builder = HourBuilder(client, name)
    pass_time(client, 110, name)
    assert (builder.waiting(), builder.build()) == (WaitingHours(), 0)
    pass_time(client, 15, name)
    assert (builder.waiting().hours, builder.build(), builder.build()) == (2, 2, 0)
    # A build counts from a minute after it was stamped.
    client.command("TRUNCATE TABLE rollup_hours")
    assert figures(client) == [(1, 1.0), (1, 1.0)]


def test_a_builder_that_dies_after_its_rows_changes_no_figure(client: Client, name: str) -> None:
    write(client, name)
    built(client, name)
    # Built again as if nothing had been noted, and killed before it could note that it was.
    client.command("TRUNCATE TABLE hours")
    HourBuilder(client, name).name_unnamed()
    pass_time(client, 200, name)
    with pytest.raises(UnreachableError, match="killed"):
        HourBuilder(Disturbed(client, killed), name).build()
    assert figures(client) == [(1, 1.0), (1, 1.0)]
    assert HourBuilder(client, name).waiting().hours == 2


def test_which_hours_answer_is_asked_once_by_a_query(client: Client, name: str) -> None:
    write(client, name, hours=40)
    built(client, name)
    client.command("RENAME TABLE hours TO hours_apart")
    try:
        # Whoever asks twice gets two answers.
        client.command(
            "CREATE VIEW hours AS SELECT model, hour_start, touched_at, "
            "if(rand() % 2 = 0, built_at, toDateTime64(0, 3)) AS built_at FROM hours_apart"
        )
        for _ in range(2):
            assert figures(client) == [(1, 1.0)] * 40
        client.command("TRUNCATE TABLE rollups")
        assert 0 < len(figures(client)) < 40
    finally:
        client.command("DROP VIEW hours")
        client.command("RENAME TABLE hours_apart TO hours")


def test_panes_that_came_past_the_insert_are_named_and_counted(client: Client, name: str) -> None:
    write(client, name)
    client.command("TRUNCATE TABLE hours")
    assert figures(client) == []
    HourBuilder(client, name).name_unnamed()
    assert figures(client) == [(1, 1.0), (1, 1.0)]


def test_a_build_that_takes_too_long_is_tried_again_with_half_as_many(client: Client, name: str) -> None:
    rows = pane_rows([Joined(T0_MS + i * 60 * MINUTE_MS, "a") for i in range(60)])
    Writer(client, name).write_rollups(rows)
    pass_time(client, 200, name)
    builder = HourBuilder(Disturbed(client, killed), name)
    for _ in range(2):
        with pytest.raises(UnreachableError):
            builder.build()
    builder._client = client
    assert [builder.build() for _ in range(3)] == [HOURS_AT_ONCE // 4, 35, 0]


def test_names_of_models_are_taken_as_they_are(client: Client, name: str) -> None:
    models = ["it's", 'say "x"', "back\\slash", "é\n{x}"]
    Writer(client, name).write_rollups(pane_rows([Joined(T0_MS, "a", model=model) for model in models]))
    built(client, name)
    found = client.rows("SELECT model FROM rollup_hours FINAL")
    assert sorted(row["model"] for row in found) == sorted(models)


def test_the_thread_builds_while_it_has_the_turn_and_tells_what_it_did(client: Client, name: str) -> None:
    write(client, name)
    pass_time(client, 200, name)
    turns: list[bool] = [False]
    thread = HourThread(lambda: (Unclosed(client), HourBuilder(client, name)), lambda: turns[0])
    assert thread.work() == 1
    assert (thread.counters.built, thread.counters.last_run_ms) == (0, None)
    turns[0] = True
    assert thread.work() >= 30
    assert (thread.counters.built, thread.counters.waiting) == (2, WaitingHours())
    assert thread.counters.last_run_ms is not None


class Unclosed(Client):
    def __init__(self, client: Client) -> None:
        self._driver = client._driver

    def close(self) -> None:
        pass


def test_a_late_row_of_a_lower_revision_is_no_other_figure(client: Client, name: str) -> None:
    write(client, name, "a", revision=5)
    built(client, name)
    write(client, name, "b", revision=4)
    assert figures(client) == [(1, 1.0), (1, 1.0)]
    built(client, name)
    client.command("TRUNCATE TABLE rollups")
    assert figures(client) == [(1, 1.0), (1, 1.0)]


def test_written_rows_carry_no_clock_of_the_client(client: Client, name: str) -> None:
    write(client, name)
    (row,) = client.rows("SELECT max(touched_at) BETWEEN now64(3) - 60 AND now64(3) AS is_now FROM hours")
    assert row["is_now"]
