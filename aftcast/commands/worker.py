"""``aftcast worker``: joins, measures and watches until it is told to stop."""

import gc
from enum import StrEnum
from typing import Annotated

import typer

from aftcast.arguments import ConfigFile


class Role(StrEnum):
    both = "both"
    streams = "streams"
    raw = "raw"


def worker(
    config: ConfigFile = None,
    role: Annotated[Role, typer.Option(help="Joining and watching, writing raw rows, or both.")] = Role.both,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of /metrics; 0: any.  [default: [metrics] port]")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Show the figures on a page; its address is in the log.")
    ] = False,
    page_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the page; 0: any.  [default: [page] port]")
    ] = None,
) -> None:
    """Read predictions and labels, write figures, drift and alerts; ends with code 0 after SIGTERM."""
    # What is imported stays: looking through it for garbage, again and again, is a sixth of a start.
    gc.disable()
    from aftcast.loading import load
    from aftcast.working import run

    gc.freeze()
    gc.enable()
    options = {"metrics": {"port": metrics_port}, "page": {"port": page_port}}
    raise typer.Exit(run(load(config, options=options), role.value, with_page=page))
