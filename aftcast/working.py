"""From the configuration to running roles: joining and watching, writing raw rows, or both in one process."""

import errno
import os
import signal
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from types import FrameType
from typing import Literal

import structlog
from confluent_kafka import KafkaException
from prometheus_client.registry import Collector

from aftcast.access import access_of
from aftcast.cold_join import ColdThread
from aftcast.cold_metrics import ColdCollector
from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.freed_memory import FreedMemory
from aftcast.hour_building import HourThread
from aftcast.hour_metrics import HourCollector
from aftcast.logs import configure_logs
from aftcast.raw_health import ClickHouseProbe, raw_part
from aftcast.raw_metrics import RawCollector
from aftcast.rights_at_start import check_start
from aftcast.warm_up import is_warm, warm_up
from sinks.clickhouse.client import ANSWER_TIMEOUT_S, Client, Tls, connect
from sinks.clickhouse.errors import ClickHouseError
from sinks.clickhouse.hours import HourBuilder
from sinks.raw_blocks import RawTopics
from sinks.raw_writer import Follower, RawWriter, RawWriterSettings
from streams.decode import Decoder, RegistryUnavailable
from streams.worker.health import Part
from streams.worker.metrics import MetricsServer
from streams.worker.registry import ConfluentRegistry
from streams.worker.run import run_worker
from streams.worker.settings import TopicNames, WorkerSettings

Role = Literal["both", "streams", "raw"]
STOP_WITHIN_S = 5.0
NAMED_SESSION_S = 30.0  # a member with a name that is back by then moves no partition; a container takes 20 s
PORTS_TRIED = 20
PROBE_ANSWER_S = 3
PAGE_ANSWER_S = 12  # its statements end themselves after ten
COLD_ANSWER_S = 600  # a query over many panes reads gigabytes

log = structlog.get_logger("aftcast")


def registry_of(configuration: Configuration) -> ConfluentRegistry | None:
    """Return the schema registry's client, None where none is configured."""
    settings = configuration.schema_registry
    if not settings.url:
        return None
    options: dict[str, str] = {}
    if settings.user:
        secret = settings.password.get_secret_value() if settings.password else ""
        options["basic.auth.user.info"] = f"{settings.user}:{secret}"
    if settings.url.startswith("https"):
        files = {
            "ssl.ca.location": settings.ca_file,
            "ssl.certificate.location": settings.certificate_file,
            "ssl.key.location": settings.certificate_key_file,
        }
        options |= {name: file for name, file in files.items() if file}
    return ConfluentRegistry(settings.url, options)


def decoder_of(configuration: Configuration) -> Decoder:
    """Return what reads input records, with the registry and the privacy of the configuration."""
    return Decoder(registry_of(configuration), privacy=configuration.privacy.settings())


def worker_settings(configuration: Configuration) -> WorkerSettings:
    """Return what the streams role goes by; holds passwords in the clear."""
    settings = WorkerSettings(
        kafka=configuration.kafka.client_options(),
        group=configuration.kafka.group,
        topics=TopicNames(**configuration.topics.model_dump(exclude={"partitions"})),
        join=configuration.join_settings(),
        monitor=configuration.monitor_settings(),
        instance=configuration.kafka.instance,
        send_interval_s=configuration.checkpoints.interval_ms / 1000,
        metrics_host=configuration.metrics.host,
        metrics_port=configuration.metrics.port,
    )
    return replace(settings, session_s=NAMED_SESSION_S) if settings.instance else settings


def raw_writer(
    configuration: Configuration,
    options: Mapping[str, str] | None = None,
    block_age_s: float | None = None,
    follower: Follower | None = None,
) -> RawWriter:
    """Return the raw role, which opens ClickHouse when it has something to write.

    ``options`` are more of librdkafka's, over those of the configuration; ``follower`` hears how far it is.
    """
    topics = configuration.topics.model_dump(exclude={"partitions", "state", "journal"})
    settings = RawWriterSettings(
        kafka={**configuration.kafka.client_options(), **(options or {})},
        topics=RawTopics(**topics),
        group=configuration.kafka.group + "-raw",
        database=configuration.clickhouse.database,
    )
    return RawWriter(
        settings if block_age_s is None else replace(settings, block_age_s=block_age_s),
        lambda: open_database(configuration),
        decoder_of(configuration),
        wait_for=(RegistryUnavailable,),
        follower=follower,
    )


def open_database(configuration: Configuration, answer_within_s: int = ANSWER_TIMEOUT_S) -> Client:
    store = configuration.clickhouse
    password = store.password.get_secret_value() if store.password else ""
    tls = Tls(store.ca_file, store.certificate_file, store.certificate_key_file)
    return connect(store.url, store.user, password, store.database, answer_within_s, tls)


def run(configuration: Configuration, role: Role, *, with_page: bool = False) -> int:
    """Run one role or both until told to stop, and return the process's exit code; a page beside them.

    Raises
    ------
    Failure
        If a role cannot go on; a supervisor starts the process again.
    """
    configure_logs()
    check_start(configuration, ("streams", "raw") if role == "both" else (role,))
    with FreedMemory():
        if not with_page:
            return _run_role(configuration, role)
        from aftcast.page.opening import page_server

        with page_server(configuration, lambda: open_database(configuration, PAGE_ANSWER_S)) as page:
            log.info("page", address=page.address)
            return _run_role(configuration, role)


def _run_role(configuration: Configuration, role: Role) -> int:
    port = metrics_port(configuration)
    if role == "raw":
        return _run_raw(configuration, port)
    # Before the first message: kernels compiled under load hold up the event loop, and the watchdog ends it.
    if not is_warm():
        log.info("compiling the core for this machine, once: some 20 s")
        warm_up()
    settings = replace(worker_settings(configuration), metrics_port=port)
    admits = access_of(configuration.metrics)
    decoder = decoder_of(configuration)
    if role == "streams":
        return run_worker(settings, decoder, admits=admits)
    raw = RawThread(configuration)
    raw.start()
    try:
        code = run_worker(settings, decoder, more_metrics=raw.metrics(), more_parts=[raw.part], admits=admits)
    finally:
        raw.stop()
    raw.raise_failure()
    return code


def health_of(configuration: Configuration, writer: RawWriter) -> Part:
    """Return the raw role's health; the embedded engine is in this process and has none of its own."""
    embedded = configuration.clickhouse.url.startswith("chdb:")
    probe = ClickHouseProbe(lambda: open_database(configuration, PROBE_ANSWER_S))
    return raw_part(writer.counters, None if embedded else probe)


def hour_thread(configuration: Configuration, cold: ColdThread) -> HourThread:
    """Return what adds up hours, in the process where the cold join has the turn."""

    def opened() -> tuple[Client, HourBuilder]:
        client = open_database(configuration)
        return client, HourBuilder(client, configuration.clickhouse.database)

    return HourThread(opened, lambda: cold.has_turn)


class RawThread(threading.Thread):
    """The raw role beside the other; when it cannot go on, it takes the process with it."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(name="raw", daemon=True)
        self._cold = ColdThread(configuration, lambda: open_database(configuration, COLD_ANSWER_S))
        self._hours = hour_thread(configuration, self._cold)
        self.writer = raw_writer(configuration, follower=self._cold)
        self.part = health_of(configuration, self.writer)
        self._stop_event = threading.Event()
        self._failure: Exception | None = None

    def metrics(self) -> list[Collector]:
        return [
            RawCollector(self.writer.counters),
            ColdCollector(self._cold.joiner.counters),
            HourCollector(self._hours.counters),
        ]

    def run(self) -> None:
        self._cold.start()
        self._hours.start()
        try:
            self.writer.run(self._stop_event)
        except Exception as error:
            self._failure = error
            log.error("raw role stopped", reason=str(error))  # noqa: TRY400 - one line
            # The streams role leaves its group in order, as after any other SIGTERM.
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(self) -> None:
        self._cold.stop()
        self._hours.stop()
        self._stop_event.set()
        self.join(STOP_WITHIN_S)

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise Failure(f"the raw role stopped: {self._failure}") from self._failure


def _run_raw(configuration: Configuration, port: int) -> int:
    stop = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    cold = ColdThread(configuration, lambda: open_database(configuration, COLD_ANSWER_S))
    hours = hour_thread(configuration, cold)
    writer = raw_writer(configuration, follower=cold)
    collectors = (
        RawCollector(writer.counters),
        ColdCollector(cold.joiner.counters),
        HourCollector(hours.counters),
    )
    part = health_of(configuration, writer)
    host, admits = configuration.metrics.host, access_of(configuration.metrics)
    metrics = MetricsServer(*collectors, host=host, port=port, parts=[part], admits=admits)
    cold.start()
    hours.start()
    log.info("raw role runs", group=configuration.kafka.group + "-raw", metrics_port=metrics.port)
    try:
        writer.run(stop)
    except (ClickHouseError, KafkaException) as error:
        raise Failure(f"the raw role stopped: {error}") from error
    finally:
        cold.stop()
        hours.stop()
        metrics.close()
    log.info("stopped")
    return 0


def metrics_port(configuration: Configuration) -> int:
    """Return where to serve metrics; a default that is taken moves to the next free port, and says so.

    Raises
    ------
    Failure
        If a port that was asked for is taken, or nobody can listen there.
    """
    host, wanted = configuration.metrics.host, configuration.metrics.port
    asked_for = "port" in configuration.metrics.model_fields_set
    for port in range(wanted, wanted + (1 if asked_for else PORTS_TRIED)):
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise Failure(f"[metrics] {host}:{port} cannot be listened on ({error.strerror})") from error
        if port != wanted:
            log.warning("metrics port is taken", wanted=wanted, port=port)
        return port
    raise Failure(f"[metrics] port {wanted} is taken; give another, or 0 for any")
