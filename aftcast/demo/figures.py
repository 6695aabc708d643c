"""What the demo shows, read from ClickHouse: every figure on the screen is one that a query gives."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # at run time the driver is loaded while the worker joins its group
    from sinks.clickhouse.client import Client

WINDOW_S = 600
WINDOWS_SHOWN = 8

_WINDOWS = f"""
SELECT model, model_version, window_start, predictions, failures, labelled, coverage, accuracy, mape,
       is_mature
FROM model_quality(window_seconds = {WINDOW_S})
WHERE segment = '' AND predictions > 0
ORDER BY model, model_version, window_start
"""  # noqa: S608 - a constant
_DRIFTS = "SELECT * FROM drift_events FINAL ORDER BY detected_at, model, model_version, signal, detector"
_ALERTS = "SELECT * FROM alerts FINAL ORDER BY timestamp, status, rule, model, model_version"
_DEAD = """
SELECT splitByChar(':', reason)[1] AS code, count() AS n
FROM dead_letters FINAL GROUP BY code ORDER BY n DESC, code
"""


@dataclass(frozen=True)
class Window:
    """One window of one model version, as ``model_quality`` has it."""

    start: datetime
    predictions: int
    coverage: float | None
    accuracy: float | None
    mape: float | None
    is_mature: bool

    @property
    def figure(self) -> float | None:
        """The figure that says how good the model is: accuracy, or for numbers the relative error."""
        return self.accuracy if self.accuracy is not None else self.mape


@dataclass(frozen=True)
class ModelView:
    """One model version: totals of the run, and its windows, the oldest first."""

    model: str
    version: str
    predictions: int
    answered: int
    labelled: int
    predictions_per_s: float
    windows: tuple[Window, ...]

    @property
    def metric(self) -> str:
        return "mape" if any(window.mape is not None for window in self.windows) else "accuracy"

    @property
    def labelled_share(self) -> float | None:
        return self.labelled / self.answered if self.answered else None


@dataclass(frozen=True)
class Figures:
    """All that one look at ClickHouse gave."""

    models: tuple[ModelView, ...] = ()
    drifts: tuple[Mapping[str, Any], ...] = ()
    alerts: tuple[Mapping[str, Any], ...] = ()
    dead_letters: dict[str, int] = field(default_factory=dict)

    @property
    def has_figure(self) -> bool:
        return any(window.figure is not None for model in self.models for window in model.windows)

    @property
    def firing(self) -> list[Mapping[str, Any]]:
        """The newest event of each alert that has not resolved."""
        newest = {alert["fingerprint"]: alert for alert in self.alerts}
        return [alert for alert in newest.values() if alert["status"] == "firing"]


class FigureReader:
    """Reads the figures again and again; rates are differences between two looks."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def read(self) -> Figures:
        windows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in self._client.rows(_WINDOWS):
            windows.setdefault((row["model"], row["model_version"]), []).append(row)
        return Figures(
            models=tuple(self._model(key, rows) for key, rows in windows.items()),
            drifts=tuple(self._client.rows(_DRIFTS)),
            alerts=tuple(self._client.rows(_ALERTS)),
            dead_letters={row["code"]: row["n"] for row in self._client.rows(_DEAD)},
        )

    def _model(self, key: tuple[str, str], rows: list[dict[str, Any]]) -> ModelView:
        predictions = sum(row["predictions"] for row in rows)
        now_s = time.monotonic()
        then_s, before = self._last.get(key, (now_s - 1.0, predictions))
        self._last[key] = (now_s, predictions)
        return ModelView(
            model=key[0],
            version=key[1],
            predictions=predictions,
            answered=predictions - sum(row["failures"] for row in rows),
            labelled=sum(row["labelled"] for row in rows),
            predictions_per_s=(predictions - before) / max(now_s - then_s, 1e-3),
            windows=tuple(
                Window(
                    row["window_start"],
                    row["predictions"],
                    row["coverage"],
                    row["accuracy"],
                    row["mape"],
                    bool(row["is_mature"]),
                )
                for row in rows
            ),
        )
