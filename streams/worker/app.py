"""The Faust app: group membership, rebalancing and four agents that only move batches."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import faust
from faust.tables.manager import TableManager
from faust.types import TP

from streams.worker.batches import BatchMessage
from streams.worker.security import credentials
from streams.worker.settings import WorkerSettings

CHUNKS_PER_POLL = 4  # of one partition or several, up to 10,000 records each
BUFFERED_BATCHES = 16  # Faust counts events, which are batches here; 1 or 2 misbehave

StartOffsets = Callable[[set[TP]], Awaitable[Mapping[TP, int]]]
HandBack = Callable[[], Awaitable[None]]  # before partitions may be given to others


class NoTables(TableManager):
    """Starts at once: Faust waits a second for tables to be declared, and a worker declares none."""

    async def on_start(self) -> None:
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


class BatchApp(faust.App):
    """A Faust app for ``kafka-batch://``: where reading starts, and which topics belong together."""

    paired_topics: tuple[str, ...] = ()
    start_offsets: StartOffsets
    hand_back: HandBack

    def _create_directories(self) -> None:
        """Do nothing: directories are for tables, and a worker keeps none."""


def build_app(
    settings: WorkerSettings,
    take: Callable[[BatchMessage], Awaitable[None]],
    start_offsets: StartOffsets,
    hand_back: HandBack,
) -> BatchApp:
    """Return an app whose agents hand every fetched batch to ``take``; it serves no web pages."""
    topics = settings.topics
    app = BatchApp(
        settings.group,
        broker="kafka-batch://" + settings.bootstrap.replace(",", ";"),
        broker_credentials=credentials(settings.kafka),
        autodiscover=False,
        TableManager=NoTables,
        web_enabled=False,
        web_tables_enabled=False,
        web_router_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_buffer_maxsize=BUFFERED_BATCHES,
        stream_wait_empty=False,  # a rebalance reads again what is not acknowledged, so nobody waits
        broker_max_poll_records=CHUNKS_PER_POLL,
        consumer_group_instance_id=settings.instance or None,
        broker_session_timeout=settings.session_s,
        broker_heartbeat_interval=settings.heartbeat_s,
        broker_rebalance_timeout=settings.rebalance_s,
        producer_request_timeout=30.0,
    )
    app.paired_topics = (topics.inference, topics.labels)
    app.start_offsets = start_offsets
    app.hand_back = hand_back

    async def move(stream: Any) -> None:
        # Without Faust's own acknowledgement: it would acknowledge a batch whose handling failed.
        async for event in stream.noack().events():
            await take(event.message)

    for name in (topics.inference, topics.labels, topics.lifecycle, topics.pane_updates):
        topic = app.topic(
            name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        app.agent(topic, name=f"aftcast {name}")(move)
    return app
