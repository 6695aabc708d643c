"""From a request to an answer: which statement, what is bound, and for how long an answer counts."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aftcast.page.literals import Value, bound, pasted
from aftcast.page.spans import SPANS, Interval, interval_of
from aftcast.page.statements import FIGURES, STATEMENTS, Statement
from sinks.clickhouse.client import Client
from sinks.clickhouse.errors import ClickHouseError, UnreachableError

ASKING_AT_ONCE = 3  # more browsers wait for each other, ClickHouse's time is the worker's too
FEATURE_WINDOWS = 4  # windows of quality in one of features, whose figures need more values
OF_FEATURES = ("features", "distribution")
LONGEST_VALUE = 1_000  # characters of a name in a request
ANSWERS_KEPT = 200
WAITED_FOR_S = 20.0  # twice the longest query


class BadRequestError(Exception):
    """A request names no statement, span or text that there is; the message is one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one statement gave: columns, rows, and the very statement."""

    columns: list[str]
    rows: list[list[Any]]
    sql: str
    interval: Interval | None
    newest: datetime | None
    took_ms: float
    cut: bool
    full: tuple[datetime, datetime] | None = None

    def document(self, name: str) -> dict[str, Any]:
        """Return the answer as the page gets it; times become RFC 3339 when it is written as JSON."""
        known: dict[str, Any] = {"name": name, "columns": self.columns, "rows": self.rows, "sql": self.sql}
        known |= {"took_ms": round(self.took_ms, 1), "cut": self.cut, "newest": self.newest}
        if self.interval is not None:
            known |= {"start": self.interval.start, "end": self.interval.end}
            known |= {"window_s": self.interval.window_s}
            known |= {"feature_window_s": self.interval.window_s * FEATURE_WINDOWS}
        if self.full is not None:
            known |= {"full_start": self.full[0], "full_end": self.full[1]}
        return known


class Asker:
    """Runs statements on a few threads, each with a client of its own; equal questions are asked once.

    ``connect`` opens a client and is called again after ClickHouse was away.
    """

    def __init__(self, connect: Callable[[], Client], database: str, pane_s: int) -> None:
        self._connect = connect
        self._database = database
        self._pane_s = pane_s
        self._pool = ThreadPoolExecutor(ASKING_AT_ONCE, "page-query")
        self._own = threading.local()
        self._kept: dict[tuple[Any, ...], tuple[float, asyncio.Task[Answer]]] = {}

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def ask(self, name: str, said: Mapping[str, str]) -> Answer:
        """Return the answer of a named statement.

        Raises
        ------
        BadRequestError
            If there is no such statement, or the request lacks a text or holds one that is too long.
        ClickHouseError
            If ClickHouse is away, says no, or takes too long.
        """
        statement = STATEMENTS.get(name)
        if statement is None:
            raise BadRequestError(f"there is no statement {name[:40]!r}; known: {', '.join(STATEMENTS)}")
        texts = _texts(statement, said)
        if name == "newest":
            return await self._newest()
        span = SPANS.get(said.get("span", ""))
        if span is None:
            raise BadRequestError(
                f"span must be one of {', '.join(SPANS)}; got {said.get('span', '')[:20]!r}"
            )
        newest = (await self._newest()).newest
        interval = interval_of(span, newest or datetime.now(UTC).replace(tzinfo=None), self._pane_s)
        values: dict[str, Value] = {**texts, "start": interval.start, "end": interval.end}
        values |= {"window_s": interval.window_s, "feature_window_s": interval.window_s * FEATURE_WINDOWS}
        full = None
        if name in OF_FEATURES:
            width_s = interval.window_s * FEATURE_WINDOWS
            full = await self._full_window(values, newest or interval.end, width_s)
            values |= {"full_start": full[0], "full_end": full[1]}
        figure = texts.pop("figure", "")
        sql = statement.sql(self._database, of_model="model" in texts, figure=figure)
        # Only what it names is part of the question: others would make equal questions differ.
        values = {key: value for key, value in values.items() if f"{{{key}:" in sql}
        key = (name, figure, *sorted(values.items()))
        answer = await self._once(key, statement, sql, values)
        return replace(answer, interval=interval, newest=newest, full=full)

    async def _newest(self) -> Answer:
        statement = STATEMENTS["newest"]
        sql = statement.sql(self._database)
        answer = await self._once(("newest",), statement, sql, {})
        newest, has_rows = answer.rows[0]
        return replace(answer, newest=newest if has_rows else None)

    async def _full_window(
        self, values: Mapping[str, Value], newest: datetime, width_s: int
    ) -> tuple[datetime, datetime]:
        """Return the newest window whose panes have come with all their features."""
        statement = STATEMENTS["closed"]
        sql = statement.sql(self._database)
        asked = {name: values[name] for name in ("model", "end", "feature_window_s")}
        known = await self._once(("closed", *sorted(asked.items())), statement, sql, asked)
        width = timedelta(seconds=width_s)
        since = datetime(1970, 1, 1)  # noqa: DTZ001 - the driver gives UTC without its zone
        end = (known.rows[0][0] if known.rows else newest) + timedelta(seconds=self._pane_s)
        end = since + (end - since) // width * width
        return end - width, end

    async def _once(
        self, key: tuple[Any, ...], statement: Statement, sql: str, values: Mapping[str, Value]
    ) -> Answer:
        now_s = time.monotonic()
        until_s, running = self._kept.get(key, (0.0, None))
        if running is None or (running.done() and (now_s >= until_s or failed(running))):
            if len(self._kept) >= ANSWERS_KEPT:
                self._forget(now_s)
            running = asyncio.create_task(self._run(statement, sql, values))
            self._kept[key] = (now_s + statement.fresh_s, running)
            running.add_done_callback(lambda task: self._note(key, statement, task))
        return await _patiently(asyncio.shield(running))

    def _note(self, key: tuple[Any, ...], statement: Statement, task: "asyncio.Task[Answer]") -> None:
        # Read here too: nobody may be left who waits for it, and an error that nobody reads is told aloud.
        if failed(task) or key not in self._kept:
            return
        # At most a quarter of the time goes into any one question, however dear it is.
        fresh_s = max(statement.fresh_s, task.result().took_ms * 3 / 1000)
        self._kept[key] = (time.monotonic() + fresh_s, task)

    def _forget(self, now_s: float) -> None:
        old = [key for key, (until_s, task) in self._kept.items() if task.done() and now_s >= until_s]
        for key in old or [key for key, (_, task) in self._kept.items() if task.done()]:
            del self._kept[key]

    async def _run(self, statement: Statement, sql: str, values: Mapping[str, Value]) -> Answer:
        loop = asyncio.get_running_loop()
        parameters = {name: bound(value) for name, value in values.items()}
        began_s = time.monotonic()
        rows = await loop.run_in_executor(self._pool, self._rows, sql, parameters)
        return Answer(
            columns=list(rows[0]) if rows else [],
            rows=[list(row.values()) for row in rows],
            sql=pasted(sql, values),
            interval=None,
            newest=None,
            took_ms=(time.monotonic() - began_s) * 1000,
            cut=len(rows) == statement.most,
        )

    def _rows(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        client: Client | None = getattr(self._own, "client", None)
        try:
            if client is None:
                client = self._own.client = self._connect()
            return client.rows(sql, parameters)
        except ClickHouseError:
            self._own.client = None
            raise


def failed(task: "asyncio.Task[Answer]") -> bool:
    return task.cancelled() or task.exception() is not None


def _texts(statement: Statement, said: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name in (*statement.needs, *statement.takes):
        if name in said:
            if len(said[name]) > LONGEST_VALUE:
                raise BadRequestError(f"{name} is {len(said[name])} characters long; {LONGEST_VALUE} at most")
            found[name] = said[name]
        elif name in statement.needs:
            raise BadRequestError(f"{name} is missing")
    if found.get("figure", FIGURES[0]) not in FIGURES:
        raise BadRequestError(f"figure must be one of {', '.join(FIGURES)}; got {found['figure'][:40]!r}")
    return found


async def _patiently(answer: Awaitable[Answer]) -> Answer:
    try:
        return await asyncio.wait_for(answer, WAITED_FOR_S)
    except TimeoutError:
        raise UnreachableError(f"clickhouse: no answer within {WAITED_FOR_S:.0f} s") from None
