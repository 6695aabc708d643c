"""What the demo says of itself: statements to try while it runs, and at its end what happened."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aftcast.demo.figures import Figures, ModelView, Window

STATEMENTS = (
    "SELECT * FROM drift_events",
    "SELECT * FROM alerts ORDER BY timestamp",
    "SELECT * FROM model_quality(window_seconds = 600) LIMIT 9",
)


def document(figures: Figures) -> dict[str, Any]:
    """Return the figures as one JSON-ready object."""
    return {
        "models": [_model(model) for model in figures.models],
        "drifts": [_plain(drift) for drift in figures.drifts],
        "alerts": [_plain(alert) for alert in figures.alerts],
        "firing": len(figures.firing),
        "dead_letters": figures.dead_letters,
    }


def _model(model: ModelView) -> dict[str, Any]:
    return {
        "model": model.model,
        "model_version": model.version,
        "predictions": model.predictions,
        "labelled": model.labelled,
        "labelled_share": model.labelled_share,
        "metric": model.metric,
        "latest_mature": _window(model, mature=True),
        "latest": _window(model, mature=None),
    }


def _window(model: ModelView, *, mature: bool | None) -> dict[str, Any] | None:
    fitting = [window for window in model.windows if _fits(window, mature)]
    if not fitting:
        return None
    window = fitting[-1]
    return {
        "window_start": _time(window.start),
        "predictions": window.predictions,
        "coverage": window.coverage,
        model.metric: window.figure,
        "is_mature": window.is_mature,
    }


def _fits(window: Window, mature: bool | None) -> bool:
    return window.figure is not None and mature in (None, window.is_mature)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _time(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _time(moment: datetime) -> str:
    # The driver gives times of UTC columns without their zone.
    return moment.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")


def opening_lines(address: str, page: str = "") -> list[str]:
    """Return where to look, and what to try from another terminal while the demo runs."""
    url = "" if address.endswith(":8123") else f"--url {address} "
    return [
        *([f"see it happen, and make things happen, at {page}"] if page else []),
        f"ClickHouse answers at {address} while it runs; to try from another terminal:",
        *(f'  aftcast sql {url}"{statement}"' for statement in STATEMENTS),
    ]


def closing_lines(result: Mapping[str, Any], figures: Figures) -> list[str]:
    """Return what happened, in a few lines."""
    fired = {alert["fingerprint"] for alert in figures.alerts if alert["status"] == "firing"}
    first = result["first_figure_s"]
    return [
        "",
        f"{result['events_sent']:,} events in {result['elapsed_s']:.0f} s"
        + ("" if first is None else f", first figure after {first:.1f} s"),
        f"{len(figures.drifts)} drifts found, {len(fired)} alerts fired, {len(figures.firing)} still firing, "
        f"{sum(figures.dead_letters.values())} dead letters",
    ]
