"""``aftcast demo``: simulated models watched live, with nothing to install besides."""

import time
from typing import Annotated

import typer

from aftcast.arguments import AsJson, Duration


def demo(
    duration: Annotated[int, Duration("How long it runs.  [default: 2m]")] = 120_000,
    rate: Annotated[float, typer.Option(min=20, max=50_000, help="Events per second of the clock.")] = 2000.0,
    speed: Annotated[
        float | None,
        typer.Option(
            min=1, max=3600, help="Event time per second of the clock.  [default: ten hours in all]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same events.")] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of ClickHouse's HTTP interface; 0: any.")
    ] = 8123,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Show it on a page in the browser.")] = True,
    page_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the page; 0: any.  [default: 8088, or the next]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Watch two simulated models: late labels arrive, accuracy settles, one model gets worse and recovers.

    Kafka is librdkafka's mock cluster and ClickHouse is chDB, both inside this process and both for trying
    out only: nothing is checkpointed, and all is gone when it ends.
    """
    began_s = time.monotonic()  # before what takes half a second to import
    from aftcast.demo.run import run_demo
    from aftcast.demo.show import DemoOptions

    run_demo(DemoOptions(duration / 1000, rate, speed, seed, port, as_json, page, page_port), began_s)
