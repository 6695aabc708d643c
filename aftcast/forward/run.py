"""All targets at once, each on its own way, until told to stop."""

import asyncio
import signal
from collections.abc import Iterator

import structlog
from confluent_kafka import KafkaException

from aftcast.access import access_of
from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.forward.bodies import Firing
from aftcast.forward.metrics import ForwardCollector, forward_part
from aftcast.forward.refusals import Refusals
from aftcast.forward.runner import UNSAYABLE, Runner
from aftcast.forward.targets import Target, shown
from aftcast.privileges import Part
from aftcast.rights_at_start import check_start
from schemas.findings import AlertEvent
from streams.worker.metrics import MetricsServer

PARTS: tuple[Part, ...] = ("forward",)

log = structlog.get_logger("aftcast.forward")


async def forward_alerts(configuration: Configuration, targets: list[Target], port: int) -> None:
    """Deliver until SIGTERM or SIGINT, with metrics and health on ``port``; ``Failure`` if Kafka refuses."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    options = configuration.kafka.client_options()
    check_start(configuration, PARTS)
    refusals = Refusals(options, configuration.topics.dead_letters)
    group, topic = configuration.kafka.group, configuration.topics.alerts
    runners = [Runner(target, options, group, topic, refusals) for target in targets]
    tallies = {target.name: runner.tally for target, runner in zip(targets, runners, strict=True)}
    collector, parts = ForwardCollector(tallies), [forward_part(tallies)]
    host, admits = configuration.metrics.host, access_of(configuration.metrics)
    metrics = MetricsServer(collector, host=host, port=port, parts=parts, admits=admits)
    tasks = [asyncio.create_task(runner.run(stop)) for runner in runners]
    log.info("forwarding", topic=topic, targets=list(tallies), metrics_port=metrics.port)
    try:
        await asyncio.gather(*tasks)
    except KafkaException as error:
        raise Failure(f"forwarding stopped: {error.args[0].str().lower()}") from error
    finally:
        stop.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        metrics.close()
    log.info("stopped")


def dry_run(alerts: Iterator[AlertEvent], targets: list[Target], now_ms: int) -> Iterator[dict[str, object]]:
    """Yield what would be sent for each alert to each target, secrets hidden."""
    firing = Firing()
    for alert in alerts:
        fires = firing.take(alert)
        for target in targets:
            try:
                body = target.body(alert, fires, now_ms) if target.wants(alert) else None
            except UNSAYABLE as error:
                yield {"target": target.name, "refused": f"cannot be written down: {error}"}
                continue
            if body is not None:
                yield shown(target, body)
