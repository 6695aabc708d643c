"""What a replay writes: windows as rows of ``model_quality``, findings, dead letters, the summary."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import orjson

from schemas.figures import CLASS_QUALITY_COLUMNS, MODEL_QUALITY_COLUMNS
from schemas.findings import AlertEvent, DriftEvent, Task
from schemas.messages import alert_document, dead_letter_document
from schemas.pane_reading import read_panes
from schemas.panes import PaneSums
from schemas.records import DeadLetter
from schemas.settings import MonitorSettings
from streams.metrics import class_quality, task_of
from streams.monitor import Monitor
from streams.partition import PartitionStage

ALERT_TIMES = ("window_start", "window_end", "started_at", "timestamp")
Key = tuple[str, str, str, int]  # model, version, segment, window start
Panes = list[tuple[int, PaneSums]]  # of a window: start, sums


class Windows:
    """Windows of one length, read out of the stage's panes whenever they are asked for."""

    def __init__(
        self, stage: PartitionStage, monitor: Monitor, settings: MonitorSettings, window_ms: int
    ) -> None:
        self._stage, self._monitor, self._settings = stage, monitor, settings
        self._window_ms = window_ms
        self._matured_ms: dict[str, int] = {}

    def model_quality(self) -> Iterator[dict[str, Any]]:
        """Yield a row per model, version, segment and window, in this order."""
        for key, panes in self._all():
            yield self._row(key, panes)

    def class_quality(self) -> Iterator[dict[str, Any]]:
        """Yield a row per window and class, of classifications only."""
        for (model, version, segment, start_ms), panes in self._all():
            sums = _total(panes)
            if self._task(model, version, sums) == "regression":
                continue
            for row in class_quality(sums):
                keys = {
                    "model": model,
                    "model_version": version,
                    "segment": segment,
                    "window_start": rfc3339(start_ms),
                }
                yield keys | {name: row[name] for name in CLASS_QUALITY_COLUMNS}

    def closed_at(self, now_ms: int) -> list[dict[str, Any]]:
        """Return the rows, with ``as_of``, of windows that end at this moment."""
        if now_ms % self._window_ms:
            return []
        rows = self._between(now_ms - self._window_ms, now_ms)
        return [self._row(key, panes) | {"as_of": rfc3339(now_ms)} for key, panes in rows]

    def matured_at(self, now_ms: int) -> list[dict[str, Any]]:
        """Return the rows, with ``as_of``, of windows that have become mature by this moment."""
        fresh: dict[str, tuple[int, int]] = {}
        for model, until_ms in self._monitor.mature_until_ms().items():
            before_ms = self._matured_ms.get(model, 0)
            end_ms = until_ms // self._window_ms * self._window_ms
            if end_ms > before_ms:
                fresh[model] = before_ms, end_ms
                self._matured_ms[model] = end_ms
        if not fresh:
            return []
        first_ms, last_ms = min(b for b, _ in fresh.values()), max(e for _, e in fresh.values())
        return [
            self._row(key, panes) | {"as_of": rfc3339(now_ms)}
            for key, panes in self._between(first_ms, last_ms)
            if key[0] in fresh
            and fresh[key[0]][0] <= key[3] < fresh[key[0]][1]
            and self._monitor.mature(key[0], key[3], key[3] + self._window_ms)
        ]

    def _row(self, key: Key, panes: Panes) -> dict[str, Any]:
        model, version, segment, start_ms = key
        total = _total(panes)
        task = self._task(model, version, total)
        figures = self._monitor.row(model, version, start_ms, start_ms + self._window_ms, panes, total, task)
        keys = {
            "model": model,
            "model_version": version,
            "segment": segment,
            "window_start": rfc3339(start_ms),
        }
        return keys | {name: figures[name] for name in MODEL_QUALITY_COLUMNS}

    def _task(self, model: str, version: str, sums: PaneSums) -> Task:
        known = self._monitor.models().get((model, version))
        return known or task_of(sums, self._settings.models.get(model))

    def _all(self) -> Iterator[tuple[Key, Panes]]:
        # A model at a time, so that a long recording is never held as rows all at once.
        for model in self._stage.models():
            yield from self._merged(self._stage.panes_of(model=model))

    def _between(self, start_ms: int, end_ms: int) -> Iterator[tuple[Key, Panes]]:
        return self._merged(self._stage.panes_of(start_ms=start_ms, end_ms=end_ms))

    def _merged(self, batches: Iterable[Any]) -> Iterator[tuple[Key, Panes]]:
        def rows() -> Iterator[tuple[Key, tuple[int, PaneSums]]]:
            for batch in batches:
                names = [batch.column(name).to_pylist() for name in ("model", "model_version", "segment")]
                starts = batch.column("pane_start").cast("int64").to_pylist()
                windows = [start // self._window_ms * self._window_ms for start in starts]
                panes = zip(starts, read_panes(batch), strict=True)
                yield from zip(zip(*names, windows, strict=True), panes, strict=True)

        for key, group in groupby(rows(), key=lambda row: row[0]):
            yield key, [pane for _, pane in group]


def _total(panes: Panes) -> PaneSums:
    total = PaneSums()
    for _, sums in panes:
        total.add(sums)
    return total


class Output:
    """A directory of NDJSON files, names and fields as in ClickHouse, times as RFC 3339 in UTC."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        with (self._directory / f"{name}.ndjson").open("wb") as file:
            for row in rows:
                file.write(orjson.dumps(row) + b"\n")

    def write_drift_events(self, drifts: list[DriftEvent]) -> None:
        rows = []
        for drift in drifts:
            fields = msgspec.to_builtins(drift)
            rows.append(
                {n.removesuffix("_ms"): rfc3339(v) if n.endswith("_ms") else v for n, v in fields.items()}
            )
        self.write("drift_events", rows)

    def write_alerts(self, alerts: list[AlertEvent]) -> None:
        self.write(
            "alerts",
            (
                {n: rfc3339(v) if n in ALERT_TIMES else v for n, v in alert_document(alert).items()}
                for alert in alerts
            ),
        )

    def write_dead_letters(self, letters: list[DeadLetter]) -> None:
        rows = sorted(
            (dead_letter_document(letter) for letter in letters),
            key=lambda row: (row["topic"], row["offset"], row["reason"]),
        )
        for row in rows:
            # A record in a file was received when it was made; one that could not be read, nobody knows when.
            row["received_at"] = None if row["received_at"] < 0 else rfc3339(row["received_at"])
        self.write("dead_letters", rows)

    def write_summary(self, summary: dict[str, Any]) -> None:
        (self._directory / "summary.json").write_bytes(
            orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n"
        )


def rfc3339(time_ms: int) -> str:
    """Return a time in UTC, to the millisecond.

    Examples
    --------
    >>> rfc3339(1_767_225_600_500)
    '2026-01-01T00:00:00.500Z'
    """
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"
