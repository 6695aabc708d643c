"""From the configuration to running roles: joining and watching, writing raw rows, or both in one process."""

from typing import Literal

from aftcast.configuration import Configuration
from sinks.clickhouse.client import Client, connect
from sinks.raw_blocks import RawTopics
from sinks.raw_writer import RawWriter, RawWriterSettings
from streams.decode import Decoder, RegistryUnavailable
from streams.worker.registry import ConfluentRegistry
from streams.worker.settings import TopicNames, WorkerSettings

Role = Literal["both", "streams", "raw"]


def registry_of(configuration: Configuration) -> ConfluentRegistry | None:
    """Return the schema registry's client, None where none is configured."""
    settings = configuration.schema_registry
    if not settings.url:
        return None
    options: dict[str, str] = {}
    if settings.user:
        secret = settings.password.get_secret_value() if settings.password else ""
        options["basic.auth.user.info"] = f"{settings.user}:{secret}"
    return ConfluentRegistry(settings.url, options)


def worker_settings(configuration: Configuration) -> WorkerSettings:
    """Return what the streams role goes by; holds passwords in the clear."""
    return WorkerSettings(
        kafka=configuration.kafka.client_options(),
        group=configuration.kafka.group,
        topics=TopicNames(**configuration.topics.model_dump(exclude={"partitions"})),
        join=configuration.join_settings(),
        monitor=configuration.monitor_settings(),
        instance=configuration.kafka.instance,
        metrics_port=configuration.metrics.port,
    )


def raw_writer(configuration: Configuration) -> RawWriter:
    """Return the raw role, which opens ClickHouse when it has something to write."""
    topics = configuration.topics.model_dump(exclude={"partitions", "state"})
    settings = RawWriterSettings(
        kafka=configuration.kafka.client_options(),
        topics=RawTopics(**topics),
        group=configuration.kafka.group + "-raw",
        database=configuration.clickhouse.database,
    )
    return RawWriter(
        settings,
        lambda: open_database(configuration),
        Decoder(registry_of(configuration)),
        wait_for=(RegistryUnavailable,),
    )


def open_database(configuration: Configuration) -> Client:
    store = configuration.clickhouse
    password = store.password.get_secret_value() if store.password else ""
    return connect(store.url, store.user, password, store.database)
