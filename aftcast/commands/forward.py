"""``aftcast forward``: delivers alerts to Alertmanager, Slack, PagerDuty and webhooks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from aftcast.arguments import ConfigFile
from aftcast.output import remark, say

if TYPE_CHECKING:
    from schemas.findings import AlertEvent


def forward(
    config: ConfigFile = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Name of a target; several times for several.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of /metrics; 0: any.  [default: [metrics] port]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be sent of what is on the topic, and end.")
    ] = False,
) -> None:
    """Deliver each alert of the topic to every `[[forward]]` target, until told to stop."""
    import asyncio
    import time

    import orjson

    from aftcast.failure import Failure
    from aftcast.forward import run
    from aftcast.forward.targets import open_target
    from aftcast.loading import load
    from aftcast.logs import configure_logs
    from aftcast.topic_reading import values
    from aftcast.working import metrics_port as free_port
    from schemas.messages import alert_of

    configuration = load(config, options={"metrics": {"port": metrics_port}})
    known = {settings.name: settings for settings in configuration.forward}
    if not known:
        raise Failure("there is no [[forward]] table to deliver to; docs/forwarding.md has examples")
    for name in only or ():
        if name not in known:
            raise Failure(f'no [[forward]] table has the name "{name}"; there are {", ".join(known)}')
    targets = [open_target(known[name], dry=dry_run) for name in (only or known)]
    if not dry_run:
        configure_logs()
        asyncio.run(run.forward_alerts(configuration, targets, free_port(configuration)))
        return

    def alerts() -> "Iterator[AlertEvent]":
        options = {**configuration.kafka.client_options(), "isolation.level": "read_committed"}
        for value in values(options, configuration.topics.alerts, from_beginning=True, follow=False):
            try:
                yield alert_of(orjson.loads(value))
            except (ValueError, TypeError):
                remark(f"no alert: {value[:200]!r}", style="yellow")

    for delivery in run.dry_run(alerts(), targets, int(time.time() * 1000)):
        say(orjson.dumps(delivery).decode())
