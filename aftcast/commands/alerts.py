"""``aftcast alerts``: follows the alert topic and prints it for people."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from aftcast.arguments import AsJson, ConfigFile
from aftcast.failure import Failure
from aftcast.output import console, remark, say
from schemas.findings import AlertEvent, LifecycleEvent

if TYPE_CHECKING:
    from confluent_kafka import Message

    from aftcast.configuration import Configuration

STYLES = {"firing": "bold red", "resolved": "green", "corrected": "yellow", "retracted": "yellow"}


def alerts(
    config: ConfigFile = None,
    all_: Annotated[bool, typer.Option("--all", help="Begin with the oldest alert that is kept.")] = False,
    follow: Annotated[bool, typer.Option(help="Wait for more; --no-follow ends at the end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Print alerts as they fire and resolve, one line each, until interrupted; maintenance is told too."""
    from aftcast.loading import load
    from aftcast.topic_reading import records, values

    configuration = load(config)
    options, topic = configuration.kafka.client_options(), configuration.topics.alerts
    begin = all_ or not follow
    try:
        if as_json:
            for value in values(options, topic, from_beginning=begin, follow=follow):
                say(value.decode("utf-8", "replace"))
            return
        if follow:
            address = configuration.kafka.bootstrap_servers
            remark(f"following {topic} at {address}; Ctrl-C ends", style="dim")
        known = _tell_of_maintenance(configuration)
        # Of lifecycle events those that come: what has begun before is told already.
        topics = (topic, configuration.topics.lifecycle) if follow and known and not begin else (topic,)
        screen = console()
        for record in records(options, topics, from_beginning=begin, follow=follow):
            for line, style in _lines(configuration, record):
                screen.print(line, style=style)
    except KeyboardInterrupt:
        return


def _tell_of_maintenance(configuration: "Configuration") -> bool:
    """Say of which models no alert will come, and return whether that could be found out."""
    from aftcast.lifecycle_reading import open_maintenance

    try:
        for one in open_maintenance(configuration, time.time_ns() // 1_000_000):
            remark(f"{one.text}: no alert of it begins to fire", style="yellow")
    except Failure as failure:
        remark(f"which models are in maintenance is not known: {failure}", style="dim")
        return False
    return True


def _lines(configuration: "Configuration", record: "Message") -> "Iterator[tuple[str, str]]":
    import orjson

    from aftcast.lifecycle_reading import lifecycle_events
    from schemas.messages import alert_of

    value = record.value()
    if record.topic() == configuration.topics.lifecycle:
        for event in lifecycle_events(configuration, [record]):
            if line := maintenance_line(event):
                yield line, "yellow"
    elif value is not None:
        try:
            alert = alert_of(orjson.loads(value))
        except (ValueError, TypeError):
            remark(f"no alert: {value[:200]!r}", style="yellow")
        else:
            yield alert_line(alert), STYLES[alert.status]


def maintenance_line(event: LifecycleEvent) -> str:
    """Return one line about the begin or the end of maintenance, empty for other events."""
    words = {"maintenance_started": "no alert begins to fire", "maintenance_ended": "alerts fire again"}
    if event.kind not in words:
        return ""
    when = datetime.fromtimestamp(event.timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    name = f"{event.model} {event.model_version}".strip()
    why = f" ({event.message})" if event.message else ""
    return f"{when}  maintenance        {name}: {words[event.kind]}{why}"


def alert_line(alert: AlertEvent) -> str:
    """Return one line: when, what happened, how grave it is, which rule, and what is wrong."""
    when = datetime.fromtimestamp(alert.timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{when}  {alert.status:<9}  {alert.severity:<6}  {alert.rule}: {alert.summary}"
