"""Random histories of panes and builders, in which hours that are added up must never show.

PYTHONPATH=. python tests/sinks/hour_histories.py 200    # seeds, 30 steps each
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from pane_oracle import Joined, pane_rows

from schemas.panes import CLASS_BINS, COUNTS, HISTOGRAMS, MAPS, PANE_COLUMNS, SUMS
from sinks.clickhouse.client import Client, connect
from sinks.clickhouse.errors import UnreachableError
from sinks.clickhouse.hours import HourBuilder
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.schema import HOUR_COLUMNS
from sinks.clickhouse.writers import Writer

T0_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows
HOUR_MS = 3_600_000
COLUMNS = ", ".join(("model", "model_version", "segment", "starts", *HOUR_COLUMNS))
CHANCES = {
    "event": 0.08, "label": 0.12, "cold": 0.06, "merge": 0.04, "time": 0.16,
    "build": 0.22, "killed": 0.08, "partial": 0.08, "overtaken": 0.08, "touched": 0.08,
}  # fmt: skip
ORDER = "ORDER BY model, model_version, segment, starts"


class Disturbed(Client):
    """A client whose builder is cut off, or during whose build something else happens."""

    def __init__(self, client: Client, between: Callable[[], None], only: str = "") -> None:
        self._driver = client._driver
        self.address = client.address
        self._between = between
        self._only = only

    def command(self, statement: str, parameters: Any = None) -> None:
        if "rollup_hours" in statement:
            statement = statement.replace(" WHERE (", f" WHERE {self._only}(")
        super().command(statement, parameters)
        if "rollup_hours" in statement:
            self._between()


def killed() -> None:
    raise UnreachableError("killed")


def pass_time(client: Client, seconds: float, database: str) -> None:
    """Date every touch and every build back, which is as if so much time had passed."""
    shifted = ", ".join(
        f"max(h.{name}) - toIntervalMillisecond("
        f"if(max(h.{name}) > toDateTime64(86400, 3), {int(1000 * seconds)}, 0)) AS {name}"
        for name in ("touched_at", "built_at")
    )
    rows = client.arrow(
        f"SELECT model, hour_start, {shifted} FROM {database}.hours AS h GROUP BY model, hour_start"  # noqa: S608
    )
    client.command(f"TRUNCATE TABLE {database}.hours")
    client.insert(f"{database}.hours", rows)


def rows_of(client: Client, database: str, view: str) -> pa.Table:
    found = client.arrow(f"SELECT {COLUMNS} FROM {database}.{view}(window_seconds = 3600) {ORDER}")  # noqa: S608
    # Which of more than 20 classes, and in which order, is no figure.
    at = found.column_names.index("long_classes")
    return found.set_column(at, "long_classes", pa.array(map(sorted, found.column(at).to_pylist())))


def zero_rows(rows: pa.RecordBatch, revision: int) -> pa.RecordBatch:
    empty: dict[str, Any] = dict.fromkeys(COUNTS, 0) | dict.fromkeys(SUMS, 0.0)
    empty |= {name: [] for name in (*MAPS, *HISTOGRAMS, *CLASS_BINS, "examples")}
    keys = rows.select(["model", "model_version", "segment", "pane_start", "partition"]).to_pylist()
    return pa.RecordBatch.from_pylist([empty | key | {"revision": revision} for key in keys], PANE_COLUMNS)


class History:
    """Panes of two models over some hours, written again and again, while builders come and go."""

    def __init__(self, client: Client, database: str, seed: int, hours: int = 4) -> None:
        self._client = client
        self._db = database
        self._rng = np.random.default_rng(seed)
        self._hours = hours
        self._events: list[Joined] = []
        self._cold: dict[tuple[str, int], int] = {}
        self._revision = 0
        self._writer = Writer(client, database)
        for _ in range(40):
            self._events.append(self._event())
        self._write({self._pane(event) for event in self._events})

    def step(self) -> str:
        """Let something happen, and return what it was."""
        chosen = str(self._rng.choice(list(CHANCES), p=list(CHANCES.values())))
        getattr(self, f"_{chosen}_happens")()
        return chosen

    # -- what writers do -------------------------------------------------------------------------------------

    def _event_happens(self) -> None:
        self._events.append(self._event())
        self._write({self._pane(self._events[-1])})

    def _label_happens(self) -> None:
        i = int(self._rng.integers(len(self._events)))
        event = self._events[i]
        label = float(self._rng.normal()) if event.model == "n" else str(self._rng.choice(["a", "b"]))
        self._events[i] = replace(event, label=label, has_label=True, corrected=event.has_label)
        self._write({self._pane(event)})

    def _cold_happens(self) -> None:
        pane = self._pane(self._events[int(self._rng.integers(len(self._events)))])
        self._cold[pane] = self._cold.get(pane, 2**63) + 1
        self._write({pane})

    # -- what builders do ------------------------------------------------------------------------------------

    def _build_happens(self) -> None:
        while self._builder().build():
            pass

    def _killed_happens(self) -> None:
        self._cut_off(killed)

    def _partial_happens(self) -> None:
        self._cut_off(killed, "segment = '' AND ")

    def _overtaken_happens(self) -> None:
        self._cut_off(self._build_happens)

    def _touched_happens(self) -> None:
        self._cut_off(self._label_happens)

    def _merge_happens(self) -> None:
        for table in ("rollups", "rollup_hours", "hours"):
            self._client.command(f"OPTIMIZE TABLE {self._db}.{table} FINAL")

    def _time_happens(self) -> None:
        pass_time(self._client, float(self._rng.choice([20, 59, 61, 130, 4000])), self._db)

    def _cut_off(self, between: Callable[[], None], only: str = "") -> None:
        pass_time(self._client, 130, self._db)  # so that there is something to build
        try:
            HourBuilder(Disturbed(self._client, between, only), self._db).build()
        except UnreachableError:
            return

    def _builder(self) -> HourBuilder:
        return HourBuilder(self._client, self._db)

    # -- rows ------------------------------------------------------------------------------------------------

    def _event(self) -> Joined:
        rng = self._rng
        model = str(rng.choice(["c", "n"]))
        said: Any = str(rng.choice(["a", "b"])) if model == "c" else float(rng.normal(100, 10))
        return Joined(
            T0_MS + int(rng.integers(self._hours * 60)) * 60_000,
            said,
            model=model,
            version=str(rng.integers(1, 3)),
            partition=int(rng.integers(2)),
            segments={"country": "DE"} if rng.random() < 0.5 else {},
            latency_ms=float(rng.lognormal(3)),
            cost=float(rng.random()),
            scores={"a": float(rng.random())} if model == "c" else None,
            sampled=0.3 if rng.random() < 0.2 else None,
        )

    def _pane(self, event: Joined) -> tuple[str, int]:
        return event.model, event.time_ms // 60_000 * 60_000

    def _write(self, panes: set[tuple[str, int]]) -> None:
        self._revision += 1
        events = [event for event in self._events if self._pane(event) in panes]
        hot = pane_rows(events, self._revision)
        for pane in panes & set(self._cold):
            whole = [replace(event, partition=-1) for event in events if self._pane(event) == pane]
            self._writer.write_rollups(pane_rows(whole, self._cold[pane]))
            gone = pane_rows([event for event in events if self._pane(event) == pane])
            self._writer.write_rollups(zero_rows(gone, self._cold[pane]))
        self._writer.write_rollups(hot)


def main() -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        client = connect(f"chdb://{folder}/histories")
        for seed in range(int(sys.argv[1])):
            client.command("DROP DATABASE IF EXISTS histories")
            migrate(client, "histories")
            history = History(client, "histories", seed)
            for number in range(30):
                what = history.step()
                if rows_of(client, "histories", "window_rows") != rows_of(client, "histories", "pane_sums"):
                    print(f"seed {seed}, step {number}, {what}: hours differ from their panes")  # noqa: T201
                    wrong += 1
                    break
        client.close()
    print(f"{wrong} wrong of {sys.argv[1]} histories")  # noqa: T201
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
