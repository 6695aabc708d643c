"""The demo's live screen: each model's last windows, provisional and mature told apart, and what happened."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from aftcast.demo.figures import WINDOW_S, WINDOWS_SHOWN, Figures, ModelView, Window

STATUS_STYLES = {"firing": "bold red", "resolved": "green", "corrected": "yellow", "retracted": "yellow"}
EVENTS_SHOWN = 12
TIME_WIDTH = 7
OTHER_LINES = 16  # of the screen without drift and alerts, where nothing is cut off at the bottom
NOTICED_PACE = 0.8
SLOWED = "this machine is busy: simulated time is slowed down until the worker has caught up"
FIXED_WIDTH, WINDOW_WIDTH = 54, 9  # of the columns before the windows, and of one window: " ~100.0% "


@dataclass(frozen=True)
class Moment:
    """Where the demo stands beside its figures: time, traffic, what waits."""

    elapsed_s: float
    event_time_ms: int
    speed: float
    pace: float
    sent: int
    sent_per_s: float
    waiting: int | None
    address: str
    story: str
    page: str = ""

    @property
    def is_slowed(self) -> bool:
        return self.pace < NOTICED_PACE


def starting_screen(elapsed_s: float, doing: str) -> RenderableType:
    """Return what is shown before there is anything to look at."""
    return Group(
        Text.assemble(("aftcast demo", "bold"), f" {elapsed_s:.0f} s"),
        Panel(doing, border_style="dim"),
    )


def screen(moment: Moment, figures: Figures, width: int, height: int = 50) -> RenderableType:
    """Return everything that is shown at one moment, as many windows as fit into ``width`` characters."""
    shown = max(2, min(WINDOWS_SHOWN, (width - FIXED_WIDTH) // WINDOW_WIDTH))
    return Group(
        _header(moment),
        _models(figures, shown),
        _events(figures, width - 4, height - OTHER_LINES),
        _footer(moment, figures),
    )


def _header(moment: Moment) -> Text:
    now = datetime.fromtimestamp(moment.event_time_ms / 1000, UTC)
    return Text.assemble(
        ("aftcast demo", "bold"),
        f" {moment.elapsed_s:.0f} s, {moment.sent_per_s:,.0f} events/s in, "
        f"simulated time {now:%H:%M}, {moment.speed * moment.pace:.0f} times faster\n",
        (SLOWED + "\n" if moment.is_slowed else "", "bold yellow"),
        (
            moment.story or "both models do as well as ever; soon one gets worse",
            "yellow" if moment.story else "dim",
        ),
    )


def _models(figures: Figures, shown: int) -> RenderableType:
    if not figures.models:
        return Panel("waiting for the first figures", border_style="dim")
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("model", no_wrap=True)
    for name in ("count", "labelled"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("figure", no_wrap=True)
    table.add_column("mature", justify="right", no_wrap=True)
    for offset in range(shown - 1, -1, -1):
        name = "now" if not offset else f"-{offset * WINDOW_S // 60}m"
        table.add_column(name, justify="right", no_wrap=True)
    for model in figures.models:
        table.add_row(*_model_row(model, shown))
    title = f"per {WINDOW_S // 60} min; bold: mature, all labels are in; ~: provisional, labels come"
    return Panel(table, title=title, title_align="left", border_style="blue")


def _model_row(model: ModelView, shown: int) -> list[Text]:
    windows = list(model.windows[-shown:])
    cells = [Text("")] * (shown - len(windows)) + [window_cell(window) for window in windows]
    share = model.labelled_share
    mature = [window for window in model.windows if window.is_mature and window.figure is not None]
    return [
        Text(f"{model.model} {model.version}", style="bold"),
        Text(f"{model.predictions:,}"),
        Text("-" if share is None else f"{share:.0%}"),
        Text(model.metric, style="dim"),
        # Narrow terminals show no window old enough to be mature.
        window_cell(mature[-1]) if mature else Text("-", style="dim"),
        *cells,
    ]


def window_cell(window: Window) -> Text:
    """Return a window's figure as it stands: bold when mature, dim with a tilde before."""
    if window.figure is None:
        return Text("·", style="dim")
    text = f"{window.figure:.1%}"
    return Text(text, style="bold") if window.is_mature else Text("~" + text, style="dim")


def _events(figures: Figures, width: int, height: int) -> RenderableType:
    lines = [(drift["detected_at"], drift_line(drift), "magenta") for drift in figures.drifts]
    lines += [
        (alert["timestamp"], alert_line(alert), STATUS_STYLES.get(alert["status"], ""))
        for alert in figures.alerts
    ]
    lines.sort(key=lambda line: line[0])
    shown, used = 0, 0
    for _, line, _ in reversed(lines[-EVENTS_SHOWN:]):
        used += -(-(len(line) + TIME_WIDTH) // width)
        if used > height and shown:
            break
        shown += 1
    text = Text("\n").join(
        Text.assemble((f"{when:%H:%M}  ", "dim"), (line, style)) for when, line, style in lines[-shown:]
    )
    empty = Text("nothing yet: all models do what they did before", style="dim")
    return Panel(text if lines else empty, title="drift and alerts", title_align="left", border_style="blue")


def drift_line(drift: Mapping[str, Any]) -> str:
    """Return a drift event as one line: what changed, from what to what, and when."""
    return (
        f"drift      {drift['model']} {drift['model_version']}: {drift['signal']} {drift['before']:.3f} → "
        f"{drift['after']:.3f}, began about {drift['change_start']:%H:%M}, "
        f"found {drift['detected_at']:%H:%M} by {drift['detector']}"
    )


def alert_line(alert: Mapping[str, Any]) -> str:
    """Return an alert event as one line."""
    return f"{alert['status']:<9}  {alert['severity']:<6}  {alert['rule']}: {alert['summary']}"


def _footer(moment: Moment, figures: Figures) -> Text:
    dead = sum(figures.dead_letters.values())
    reasons = ", ".join(f"{reason} {count}" for reason, count in list(figures.dead_letters.items())[:3])
    waiting = "-" if moment.waiting is None else f"{moment.waiting:,}"
    return Text.assemble(
        f"waiting predictions {waiting}   dead letters {dead}" + (f" ({reasons})" if reasons else "") + "\n",
        *((("page ", "dim"), moment.page, "   ") if moment.page else ()),
        ("ClickHouse ", "dim"),
        moment.address,
        ("   Ctrl-C ends", "dim"),
    )
