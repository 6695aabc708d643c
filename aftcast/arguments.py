"""Options that several commands share: the configuration's file, durations, JSON."""

from pathlib import Path
from typing import Annotated, Any

import typer

from aftcast.quantities import duration_ms

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file.  [default: AFTCAST_CONFIG, else aftcast.toml here, if it exists]",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def parse_duration(text: str | int) -> int:
    """Return a duration of the command line in milliseconds; typer shows the text of what it raises."""
    if isinstance(text, int):
        return text
    try:
        return duration_ms(text)
    except ValueError as error:
        raise typer.BadParameter(f'{error}; got "{text}"') from None


def Duration(help: str, *names: str) -> Any:  # noqa: A002, N802
    """Return an option that takes "24h" and gives milliseconds."""
    return typer.Option(*names, parser=parse_duration, metavar="DURATION", help=help, show_default=False)
