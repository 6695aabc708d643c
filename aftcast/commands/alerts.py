"""``aftcast alerts``: follows the alert topic and prints it for people."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from aftcast.arguments import AsJson, ConfigFile
from aftcast.output import console, remark, say
from schemas.findings import AlertEvent

STYLES = {"firing": "bold red", "resolved": "green", "corrected": "yellow", "retracted": "yellow"}


def alerts(
    config: ConfigFile = None,
    all_: Annotated[bool, typer.Option("--all", help="Begin with the oldest alert that is kept.")] = False,
    follow: Annotated[bool, typer.Option(help="Wait for more; --no-follow ends at the end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Print alerts as they fire and resolve, one line each, until interrupted."""
    import orjson

    from aftcast.loading import load
    from aftcast.topic_reading import values
    from schemas.messages import alert_of

    configuration = load(config)
    topic = configuration.topics.alerts
    if follow and not as_json:
        remark(f"following {topic} at {configuration.kafka.bootstrap_servers}; Ctrl-C ends", style="dim")
    screen = console()
    try:
        for value in values(
            configuration.kafka.client_options(), topic, from_beginning=all_ or not follow, follow=follow
        ):
            if as_json:
                say(value.decode("utf-8", "replace"))
                continue
            try:
                alert = alert_of(orjson.loads(value))
            except (ValueError, TypeError):
                remark(f"no alert: {value[:200]!r}", style="yellow")
                continue
            screen.print(alert_line(alert), style=STYLES[alert.status])
    except KeyboardInterrupt:
        return


def alert_line(alert: AlertEvent) -> str:
    """Return one line: when, what happened, how grave it is, which rule, and what is wrong."""
    when = datetime.fromtimestamp(alert.timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{when}  {alert.status:<9}  {alert.severity:<6}  {alert.rule}: {alert.summary}"
