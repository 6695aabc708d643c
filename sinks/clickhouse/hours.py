"""Adds panes up to hours, so that a month is read from 720 rows of a model in place of 43,200.

An hour that was built more than a minute after its last touch answers for its panes; every other one is
read from panes. So a builder that dies, comes late, or works beside another one can cost time, never a
figure: rows of an older build give way to those of a newer one, and rows without their mark in ``hours`` hold
the same sums as the ones that they replace, or belong to an hour that does not answer.
"""

import json
import time
from dataclasses import dataclass

from sinks.clickhouse.client import Client
from sinks.clickhouse.errors import ClickHouseError, UnreachableError
from sinks.clickhouse.schema import HOUR_COLUMNS

# Rows of panes are there within the 30 s that an insert may take after they touched their hour, so an hour
# that was quiet for longer has all of them; the other 30 s are for clocks that are set back.
QUIET_S = 60
# Beyond that, so that an hour whose labels trickle in is not added up after each of them.
REST_S = 60
INSERT_S = 30
# Views take an hour a minute after its build was stamped: by then its rows must have been there for a while.
LONGEST_BUILD_S = 45.0
HOURS_AT_ONCE = 100  # hours of one model each: a second or two of work
# Views read the panes of the days before the 400th themselves, since parts expire one by one.
OLDEST_DAYS = 398


@dataclass(frozen=True, slots=True)
class WaitingHours:
    """How many hours of one model each could be built, and since when the oldest of them is quiet."""

    hours: int = 0
    since_ms: int | None = None


class HourBuilder:
    """Builds hours that are quiet, the newest first, by the clock of the server.

    Examples
    --------
    >>> HourBuilder(client, "aftcast").build()  # doctest: +SKIP
    100
    """

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._db = database
        self._at_once = HOURS_AT_ONCE

    def build(self) -> int:
        """Build some hours that wait, at most ``HOURS_AT_ONCE``, and return how many there were.

        Raises
        ------
        ClickHouseError
            If ClickHouse is away or refuses; a build that took too long is tried again with half as many.
        """
        now_ms = self._now_ms()
        due = self._client.rows(
            f"SELECT model, start FROM ({self._due(now_ms)}) "  # noqa: S608
            f"ORDER BY start DESC, model LIMIT {self._at_once}"
        )
        if not due:
            return 0
        pairs = {"pairs": json.dumps([[row["model"], row["start"]] for row in due])}
        chosen = (
            "SELECT pair.1 AS model, toDateTime(pair.2, 'UTC') AS hour_start FROM (SELECT arrayJoin("
            "JSONExtract({pairs:String}, 'Array(Tuple(String, UInt32))')) AS pair)"
        )
        stamp = f"fromUnixTimestamp64Milli({now_ms}, 'UTC')"
        names = ", ".join(HOUR_COLUMNS)
        begin_s = time.monotonic()
        try:
            self._client.command(
                f"INSERT INTO {self._db}.rollup_hours "  # noqa: S608
                f"(model, model_version, segment, hour_start, built_at, {names}) "
                f"SELECT model, model_version, segment, starts, {stamp}, {names} "
                f"FROM {self._db}.pane_sums(window_seconds = 3600) WHERE (model, starts) IN ({chosen}) "
                f"SETTINGS max_execution_time = {INSERT_S}",
                pairs,
            )
            took_s = time.monotonic() - begin_s
            if took_s > LONGEST_BUILD_S:
                raise UnreachableError(
                    f"clickhouse: adding up {len(due)} hours took {took_s:.0f} s, longer than the "
                    f"{LONGEST_BUILD_S:.0f} s after which they would count; they are built again"
                )
        except ClickHouseError:
            self._at_once = max(1, self._at_once // 2)
            raise
        self._client.command(
            f"INSERT INTO {self._db}.hours (model, hour_start, built_at) "  # noqa: S608
            f"SELECT model, hour_start, {stamp} FROM ({chosen})",
            pairs,
        )
        self._at_once = min(HOURS_AT_ONCE, 2 * self._at_once)
        return len(due)

    def waiting(self) -> WaitingHours:
        """Return what there is to build."""
        (row,) = self._client.rows(
            f"SELECT count() AS n, toUnixTimestamp64Milli(min(touched)) AS since "  # noqa: S608
            f"FROM ({self._due(self._now_ms())})"
        )
        return WaitingHours(row["n"], row["since"] if row["n"] else None)

    def name_unnamed(self) -> None:
        """Name the hours of panes that came past the insert, such as parts that were attached by hand."""
        self._client.command(
            f"INSERT INTO {self._db}.hours (model, hour_start, touched_at) "  # noqa: S608
            f"SELECT model, toStartOfHour(pane_start) AS hour_start, now64(3, 'UTC') FROM {self._db}.rollups "
            f"GROUP BY model, hour_start "
            f"HAVING (model, hour_start) NOT IN (SELECT model, hour_start FROM {self._db}.hours)"
        )

    def _now_ms(self) -> int:
        now_ms: int = self._client.rows("SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms")[0]["now_ms"]
        return now_ms

    def _due(self, now_ms: int) -> str:
        now = f"fromUnixTimestamp64Milli({now_ms}, 'UTC')"
        return (
            f"SELECT h.model AS model, toUnixTimestamp(h.hour_start) AS start, max(h.touched_at) AS touched "  # noqa: S608
            f"FROM {self._db}.hours AS h GROUP BY model, h.hour_start "
            f"HAVING max(h.built_at) <= touched + toIntervalSecond({QUIET_S}) "
            f"AND touched < {now} - toIntervalSecond({QUIET_S + REST_S}) "
            f"AND start > toUnixTimestamp({now}) - {OLDEST_DAYS * 86_400}"
        )
