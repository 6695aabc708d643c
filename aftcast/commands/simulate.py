"""``aftcast simulate``: the demo's events, to any Kafka or into files for ``replay``."""

import time
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from aftcast.arguments import ConfigFile, Duration
from aftcast.failure import Failure
from aftcast.output import console, remark, say

# Files are the same for the same seed, so they begin at the same time too.
FILES_START = datetime(2026, 1, 1, tzinfo=UTC)


class FileFormat(StrEnum):
    ndjson = "ndjson"
    avro = "avro"


def simulate(
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Kafka to send to.  [default: that of the configuration]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Directory to write files into, instead of Kafka.")] = None,
    format_: Annotated[FileFormat, typer.Option("--format", help="Of the files.")] = FileFormat.ndjson,
    rate: Annotated[
        float, typer.Option(min=0.001, help="Events per second, predictions and labels together.")
    ] = 200.0,
    duration: Annotated[
        int | None, Duration("Event time to simulate.  [default: 1h into files, no end to Kafka]")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=1.0, help="Event time per second of the clock; above 1 needs --duration.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same events.")] = 1,
    rise: Annotated[
        int | None,
        Duration("When the fraud model's error rate rises.  [default: at a third of the duration]"),
    ] = None,
    recovery: Annotated[
        int | None, Duration("When it falls again.  [default: at two thirds of the duration]")
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M:%S"], help="Event time of the beginning, UTC, of files only."),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Send two simulated models' predictions and late labels to Kafka, or write them into files.

    A fraud model (classes, scores, two versions) and a price model (numbers) answer; labels come minutes
    later, some never, some twice, some withdrawn, and a few messages are broken. Between --rise and
    --recovery the fraud model is wrong in 25 % of its answers instead of 10 %.
    """
    if duration is None and out is not None:
        duration = 3_600_000
    if duration is None and speed > 1:
        raise Failure("--speed above 1 needs --duration: events of the future are refused by every reader")
    if duration is not None:
        rise = duration // 3 if rise is None else rise
        recovery = 2 * duration // 3 if recovery is None else recovery
    if out is not None:
        begin = FILES_START if start is None else start.replace(tzinfo=UTC)
        _write(out, format_, rate, duration or 0, seed, int(begin.timestamp() * 1000), rise, recovery)
    else:
        _send(config, bootstrap_servers, rate, duration, speed, seed, rise, recovery)


def _write(
    out: Path,
    format_: FileFormat,
    rate: float,
    duration_ms: int,
    seed: int,
    start_ms: int,
    rise: int | None,
    recovery: int | None,
) -> None:
    from aftcast.simulation import Simulation
    from aftcast.simulation.files import write_avro, write_ndjson

    simulation = Simulation(
        seed, start_ms, rate, rise_ms=_at(start_ms, rise), recovery_ms=_at(start_ms, recovery)
    )
    write = write_avro if format_ is FileFormat.avro else write_ndjson
    try:
        # The labels that come after the end are written too: files are complete.
        counts = write(out, chain(simulation.blocks(start_ms + duration_ms), simulation.remaining()))
    except OSError as error:
        raise Failure(f"{error.filename or out}: cannot be written: {error.strerror}") from None
    for name, count in counts.items():
        say(f"{out / name}: {count} events")
    files = [out / name for name in counts]
    remark(f"next: aftcast replay --inference {files[0]} --labels {files[1]} --out {out / 'result'}")


def _at(start_ms: int, after_ms: int | None) -> int | None:
    return None if after_ms is None else start_ms + after_ms


def _send(
    config: Path | None,
    bootstrap_servers: str | None,
    rate: float,
    duration_ms: int | None,
    speed: float,
    seed: int,
    rise: int | None,
    recovery: int | None,
) -> None:
    from aftcast.loading import load
    from aftcast.simulation import INFERENCE, LABELS, Simulation
    from aftcast.simulation.sending import Sender, paced

    configuration = load(config, options={"kafka": {"bootstrap_servers": bootstrap_servers}})
    topics = {INFERENCE: configuration.topics.inference, LABELS: configuration.topics.labels}
    begun_s = time.time()
    # Faster than the clock, the run begins in the past, so that it ends now and never in the future.
    start_ms = int(begun_s * 1000 - (speed - 1) * (duration_ms or 0) / speed)
    simulation = Simulation(
        seed, start_ms, rate / speed, rise_ms=_at(start_ms, rise), recovery_ms=_at(start_ms, recovery)
    )
    until_ms = start_ms + duration_ms if duration_ms else 2**62
    sender = Sender(configuration.kafka.client_options(), topics)

    def now_ms() -> int:
        return start_ms + int((time.time() - begun_s) * 1000 * speed)

    sent = 0
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console(errors=True), transient=True) as progress:
            task = progress.add_task("sending", total=duration_ms)
            for events in paced(simulation.blocks(until_ms), now_ms):
                sent += sender.send(events)
                progress.update(
                    task,
                    completed=now_ms() - start_ms,
                    description=f"{sent} events to {', '.join(topics.values())}",
                )
    except KeyboardInterrupt:
        remark("stopped")
    sender.close()
    say(f"sent {sent} events to {' and '.join(topics.values())} at {configuration.kafka.bootstrap_servers}")
