"""``aftcast state``: where each partition stands: offsets, lag, memory, checkpoint."""

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from aftcast.arguments import AsJson, ConfigFile
from aftcast.output import console, remark, say

if TYPE_CHECKING:
    from aftcast.state_looking import Kept, Memory

WIDTH = 130  # where nobody looks on, or the terminal is narrower: whole figures in long lines
HEADINGS = ("partition", "inference", "lag", "labels", "lag", "behind", "checkpoint", "waiting", "memory",
            "panes", "memory", "restored")  # fmt: skip


def state(
    config: ConfigFile = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            help="Metrics page of a worker, for what lies in its memory; once for each worker.  "
            "[default: this machine's]",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where each partition stands, by its last checkpoint and by the workers' metrics pages."""
    from rich.table import Table

    from aftcast.loading import load
    from aftcast.state_looking import look, metrics_url

    configuration = load(config)
    now_ms = int(time.time() * 1000)
    found = look(configuration, metrics or [metrics_url(configuration)], now_ms)
    if as_json:
        say(json.dumps({"as_of": now_ms, **asdict(found)}, indent=2))
        return
    screen = console()
    screen.width = max(screen.width, WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found.partitions:
        table.add_row(str(one.partition), *_kept(one.checkpoint), *_memory(one.memory))
    screen.print(table)
    lags = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("group", "topic"):
        lags.add_column(heading)
    lags.add_column("lag", justify="right")
    for group in found.groups:
        lags.add_row(
            group.group, group.topic, "nothing read" if group.records is None else f"{group.records:,}"
        )
    screen.print("", lags, sep="\n")
    for work in found.maintenance:
        screen.print(f"{work.text}: no alert of it begins to fire", style="yellow")
    for url, reason in found.unread.items():
        remark(f"{url} not read ({reason}): memory and restore are not shown; give --metrics URL", "dim")


def _kept(kept: "Kept | None") -> tuple[str, ...]:
    if kept is None:
        return ("", "", "", "", "", "none")
    return (
        _number(kept.inference_offset),
        _number(kept.inference_lag),
        _number(kept.label_offset),
        _number(kept.label_lag),
        _seconds(kept.lag_seconds),
        f"{_seconds(kept.age_seconds)} ago",
    )


def _memory(memory: "Memory | None") -> tuple[str, ...]:
    if memory is None:
        return ("", "", "", "", "")
    return (
        _number(memory.waiting),
        _megabytes(memory.waiting_bytes),
        _number(memory.panes),
        _megabytes(memory.pane_bytes),
        f"{memory.restored:.0%}",
    )


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _seconds(value: float) -> str:
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7_200 else f"{whole // 3_600} h"


def _megabytes(value: int) -> str:
    return f"{value / 1e6:.1f} MB"
