"""The newest hour of each model version as gauges: traffic once it has closed, quality once it is mature."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.figures import Figures
from schemas.findings import Task
from schemas.settings import HOUR_MS
from streams.drift import Frontier
from streams.metrics import model_quality
from streams.monitor.store import PaneStore


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure of ``model_quality`` in Prometheus's units; ``of`` says of which hour."""

    name: str
    figure: str
    of: Literal["closed", "mature"]
    explanation: str
    scale: float = 1.0


GAUGES = (
    Gauge("aftcast_model_predictions_per_second", "predictions_per_s", "closed", "Predictions."),
    Gauge("aftcast_model_success_ratio", "success_rate", "closed", "Share of calls whose status is ok."),
    Gauge("aftcast_model_latency_p95_seconds", "latency_p95_ms", "closed", "Latency, 95th percentile.", 1e-3),
    Gauge("aftcast_model_latency_p99_seconds", "latency_p99_ms", "closed", "Latency, 99th percentile.", 1e-3),
    Gauge("aftcast_model_coverage_ratio", "coverage", "mature", "Labelled share of the answered."),
    Gauge("aftcast_model_accuracy_ratio", "accuracy", "mature", "Share of right answers."),
    Gauge("aftcast_model_relative_error_ratio", "mape", "mature", "Mean absolute error by the truth's size."),
)


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """One model version's gauges by name, those without a figure left out; ``predictions`` rank it."""

    model: str
    model_version: str
    predictions: int
    values: Mapping[str, float]


def newest_figures(
    store: PaneStore, frontier: Frontier, tasks: Mapping[tuple[str, str], Task]
) -> Iterator[VersionFigures]:
    """Walk through all versions, some tenths of a millisecond each; nothing before the frontier is known."""
    if not frontier.known:
        return
    for model, version, series in store.versions():
        task = tasks.get((model, version), "binary")
        rows: dict[str, Figures] = {}
        for of, end_ms in (("closed", frontier.closed_until_ms), ("mature", frontier.mature_until_ms(model))):
            # Of skipped intervals labels never came: such an hour is not mature, however old it is.
            start_ms, mature = end_ms - HOUR_MS, of == "mature"
            if not mature or frontier.mature(model, start_ms, end_ms):
                sums = series.window(start_ms, end_ms)
                rows[of] = model_quality(sums, task, mature=mature, window_ms=HOUR_MS)
        predictions = rows["closed"]["predictions"]
        values = {}
        for gauge in GAUGES:
            figure = rows.get(gauge.of, {}).get(gauge.figure)
            if isinstance(figure, int | float):
                values[gauge.name] = figure * gauge.scale
        yield VersionFigures(model, version, predictions if isinstance(predictions, int) else 0, values)
