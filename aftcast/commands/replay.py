"""``aftcast replay``: the same core over recorded files, without Kafka."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from aftcast.arguments import AsJson, ConfigFile, Duration
from aftcast.failure import Failure
from aftcast.output import say

FILES_HELP = "NDJSON, Avro, Parquet or CSV, told apart by suffix, .gz included; several may follow."


def replay(
    inference: Annotated[list[Path], typer.Option(metavar="FILE...", help=f"Predictions. {FILES_HELP}")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")],
    labels: Annotated[list[Path], typer.Option(metavar="FILE...", help="Labels, likewise.")] = [],  # noqa: B006
    lifecycle: Annotated[
        list[Path], typer.Option(metavar="FILE...", help="Lifecycle events, likewise.")
    ] = [],  # noqa: B006
    config: ConfigFile = None,
    window: Annotated[
        int, Duration("Of the figures, a multiple of the pane's width.  [default: 1h]")
    ] = 3_600_000,
    history: Annotated[
        bool, typer.Option(help="Also write each window as it stood when it closed and when it matured.")
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Let time run on to this; RFC 3339 or milliseconds since 1970."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run recorded events through the same core as the worker, and write figures, drift and alerts as files.

    The same input gives the same bytes.
    """
    from aftcast.loading import load

    for path in (*inference, *labels, *lifecycle):
        if not path.is_file():
            raise Failure(f"{path}: there is no such file")
    configuration = load(config)
    if window % configuration.panes.width_ms:
        raise Failure(f"--window must be a multiple of the pane's width, {configuration.panes.width_ms} ms")
    until_ms = None if until is None else time_ms(until)

    from aftcast.replay import run_replay

    summary = run_replay(inference, labels, lifecycle, configuration, window, history, until_ms, out)
    if as_json:
        say(json.dumps(summary, indent=2))
        return
    for name, value in summary.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {count}" for key, count in value.items())  # noqa: PLW2901
        say(f"{name}: {value}")
    say(f"results in {out}")


def time_ms(text: str) -> int:
    """Return a time of the command line in milliseconds since 1970.

    Examples
    --------
    >>> time_ms("2026-01-01T00:00:00Z"), time_ms("1767225600000")
    (1767225600000, 1767225600000)
    """
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Failure(f'--until must be a time with its zone, such as 2026-01-31T12:00:00Z; got "{text}"')
    return round(moment.astimezone(UTC).timestamp() * 1000)
