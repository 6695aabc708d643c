"""The thread that owns the aiokafka consumer: how it is set up, and what it tells with each fetch."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import aiokafka
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.threads import WorkerThread

from streams.worker.batches import Records
from streams.worker.fetching import unpack_to_columns

FETCH_MAX_WAIT_MS = 100  # Faust's 1,500 ms delay what was produced to a partition just resumed
# A broker answers once it has so much or that time is over. With one byte it answers for each batch of each
# producer: fifty pieces a second of seventy records each, which take a worker twice the processor's time.
FETCH_MIN_BYTES = 1 << 20
# Of one partition in one fetch. A round trip takes as long as some thousand events, so fetches of 1 MiB leave
# the processor idle for a third of a restore; of 8 MiB, 20,000 to 80,000 events, for a tenth.
FETCH_MOST_BYTES = 8 << 20
FETCH_LEAST_BYTES = 1 << 20
FETCHED_BYTES = 32 << 20  # of all partitions together, as they come: packed


def fetch_bytes(assigned: int) -> int:
    """Return how much to fetch of each of ``assigned`` partitions at once.

    Examples
    --------
    >>> [fetch_bytes(n) >> 20 for n in (1, 8, 16, 64, 1000)]
    [8, 4, 2, 1, 1]
    """
    return min(FETCH_MOST_BYTES, max(FETCH_LEAST_BYTES, FETCHED_BYTES // assigned))


class FetchedRecords(dict[TP, Any]):  # Records, where Faust's types say list
    """Records by partition, with where each assigned partition stood at that moment: (position, end)."""

    def __init__(self, records: Mapping[TP, Records], standing: dict[TP, tuple[int, int]]) -> None:
        super().__init__(records)
        self.standing = standing
        self.generation = -1  # of the group, and each partition's epoch, when the fetch was asked for
        self.epochs: dict[TP, int] = {}


class EndingThread(WorkerThread):
    """A thread that does not keep its process: while no broker answers, it never ends by itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.daemon = True


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer."""

    async def on_start(self) -> None:
        await super().on_start()
        unpack_to_columns(self._ensure_consumer()._fetcher)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        # Faust falls back to round-robin without tables, which separates partition p of two topics.
        self._assignor = RangePartitionAssignor
        security = driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context)
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[RangePartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",  # a gap is never silent: every position is sought explicitly
            isolation_level="read_committed",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=FETCH_LEAST_BYTES,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            fetch_min_bytes=FETCH_MIN_BYTES,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **security,
        )

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109
        max_records: int | None = None,
    ) -> FetchedRecords:
        chunks = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        records = {tp: Records.joined(its) for tp, its in chunks.items()}
        # Taken where the positions move, so that a partition never looks read to its end
        # while its records are on their way to the main thread.
        standing = {}
        subscription = consumer._subscription.subscription
        if subscription is not None and subscription.assignment is not None:
            tps = subscription.assignment.tps
            consumer._fetcher._max_partition_fetch_bytes = fetch_bytes(max(1, len(tps)))
            for tp in tps:
                state = subscription.assignment.state_value(tp)
                if state is not None and state.has_valid_position and state.highwater is not None:
                    standing[TP(tp.topic, tp.partition)] = (state.position, state.highwater)
        return FetchedRecords(records, standing)

    async def stay_in_group(self) -> None:
        """Count as polling: a member that never fetches is put out of its group after max.poll.interval."""
        await self.call_thread(self._touch)

    async def committed_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return what the group has committed; partitions without a commit are left out."""
        return dict(await self.call_thread(self._committed, list(tps)))

    async def _committed(self, tps: list[TP]) -> dict[TP, int]:
        committed = self._ensure_consumer().committed
        found = await asyncio.gather(*(committed(tp) for tp in tps))
        return {tp: offset for tp, offset in zip(tps, found, strict=True) if offset is not None}

    async def offsets_for_times(self, times_ms: Mapping[TP, int]) -> dict[TP, int | None]:
        found = await self.call_thread(self._ensure_consumer().offsets_for_times, dict(times_ms))
        return {TP(tp.topic, tp.partition): at and at.offset for tp, at in found.items()}

    async def first_times_ms(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        found = await self.call_thread(self._ensure_consumer().offsets_for_times, dict.fromkeys(tps, 0))
        return {TP(tp.topic, tp.partition): at and at.timestamp for tp, at in found.items()}

    async def _touch(self) -> None:
        with self._ensure_consumer()._subscription.fetch_context():
            pass
