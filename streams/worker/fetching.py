"""Fetched records straight to columns: aiokafka's C code unpacks a batch, and no object of its own is kept.

A dataclass around each record costs 2 µs, and as many objects in memory as records cost the garbage collector
another: more than all that is done with the records afterwards.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException

from streams.worker.batches import Records

CHUNK_RECORDS = 10_000  # what a producer sends is often smaller by far, and then joined up to this


class ColumnarRecords(PartitionRecords):
    """What one fetch returned for one partition; iterating gives columns of many records at a time."""

    next_fetch_offset: int

    @classmethod
    def instead_of(cls, records: PartitionRecords) -> "ColumnarRecords":
        """Return what ``records``, of which nothing was read yet, would have held."""
        return cls(
            records._tp, records._records, records._aborted_transactions, records.next_fetch_offset,
            None, None, records._check_crcs, records._isolation_level,
        )  # fmt: skip

    def _unpack_records(self) -> Iterator[Records]:
        chunk: list[Records] = []
        size = 0
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not self._is_skipped(batch):
                records = unpacked(batch, self.next_fetch_offset)
                if len(records):
                    chunk.append(records)
                    size += len(records)
            # Of the batch, not of its last record, which compaction may have removed.
            self.next_fetch_offset = batch.next_offset
            if size >= CHUNK_RECORDS:
                yield Records.joined(chunk)
                chunk, size = [], 0
        if chunk:
            yield Records.joined(chunk)

    def _is_skipped(self, batch: Any) -> bool:
        """Tell whether a batch is a transaction's mark, or belongs to a transaction that was aborted."""
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


def unpacked(batch: Any, first_offset: int) -> Records:
    """Return the records of one batch of the log, without those below ``first_offset``."""
    records = list(batch)
    if records and records[0].offset < first_offset:  # a fetch may begin within a batch
        records = [record for record in records if record.offset >= first_offset]
    headers = [record.headers for record in records]
    return Records(
        offsets=np.array([record.offset for record in records], np.int64),
        times_ms=np.array([record.timestamp or 0 for record in records], np.int64),
        time_kind=(records[-1].timestamp_type or 0) if records else 0,
        keys=[record.key for record in records],
        values=[record.value for record in records],
        headers=headers if any(headers) else (),
    )


def unpack_to_columns(fetcher: Fetcher) -> None:
    """Let ``fetcher``, of which nothing was read yet, return columns; its limits count these."""
    fetch: Callable[[Any, Any, Any], Awaitable[bool]] = fetcher._proc_fetch_request

    async def fetch_columns(assignment: Any, node_id: Any, request: Any) -> bool:
        came = await fetch(assignment, node_id, request)
        # Nobody reads between the line above and those below: that takes a turn of the event loop.
        for result in fetcher._records.values():
            if isinstance(result, FetchResult) and type(result._partition_records) is PartitionRecords:
                result._partition_records = ColumnarRecords.instead_of(result._partition_records)
        return came

    fetcher._proc_fetch_request = fetch_columns
