"""Fetched bytes to columns, held to aiokafka's own records: transactions, gaps, headers, damage."""

import inspect
from collections.abc import Iterator

import numpy as np
import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.worker import fetching
from streams.worker.batches import Records
from streams.worker.fetching import ColumnarRecords

Header = tuple[str, bytes | None]
Row = tuple[int, bytes | None, bytes | None, list[Header]]
COMMITTED = fetcher.READ_COMMITTED


def log_batch(first_offset: int, rows: list[Row], *, producer: int = -1, compression: int = 0) -> bytearray:
    """Return a batch of the log as brokers keep it; a row is (offset, key, value, headers)."""
    builder = DefaultRecordBatchBuilder(2, compression, int(producer >= 0), producer, 0, 0, 1 << 20)
    for offset, key, value, headers in rows:
        assert builder.append(offset - first_offset, 1_000 + offset, key, value, headers) is not None
    built = builder.build()
    built[:8] = first_offset.to_bytes(8, "big")  # not under the checksum: brokers write it
    return built


def plain(*offsets: int) -> list[Row]:
    return [(offset, b"k", b"v%d" % offset, []) for offset in offsets]


def fetched(
    data: bytes, position: int = 0, aborted: list[tuple[int, int]] | None = None
) -> tuple[fetcher.PartitionRecords, ColumnarRecords]:
    """Return the same fetch twice: as aiokafka reads it, and as columns."""
    tp = fetcher.TopicPartition("t", 0)

    def opened() -> fetcher.PartitionRecords:
        return fetcher.PartitionRecords(
            tp, MemoryRecords(bytes(data)), aborted, position, None, None, True, COMMITTED
        )

    return opened(), ColumnarRecords.instead_of(opened())


def rows_of(chunks: Iterator[Records]) -> list[tuple[object, ...]]:
    records = Records.joined(list(chunks))
    return list(
        zip(
            records.offsets.tolist(),
            records.times_ms.tolist(),
            records.keys,
            records.values,
            [tuple(row) for row in records.headers or [()] * len(records)],
            strict=True,
        )
    )


def as_aiokafka(records: fetcher.PartitionRecords) -> list[tuple[object, ...]]:
    return [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in records]


contents = st.none() | st.binary(max_size=8)
batches = st.lists(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            contents,
            contents,
            st.lists(st.tuples(st.text(max_size=3), contents), max_size=1),
        ),
        min_size=1,
        max_size=5,
    ),
    min_size=1,
    max_size=5,
)


@given(batches, st.integers(0, 20), st.sampled_from([0, 1, 3]))
def test_columns_hold_what_aiokafka_reads_record_by_record(
    steps: list[list[tuple[int, bytes | None, bytes | None, list[Header]]]], position: int, compression: int
) -> None:
    data, offset = b"", 0
    for rows in steps:
        first, built = offset, []
        for step, key, value, headers in rows:
            built.append((offset, key, value, headers))
            offset += step  # gaps, as compaction leaves them
        data += bytes(log_batch(first, built, compression=compression))
    slow, columns = fetched(data, min(position, built[-1][0]))
    expected = as_aiokafka(slow)
    assert rows_of(columns) == expected
    assert columns.next_fetch_offset == slow.next_fetch_offset


def test_what_an_aborted_transaction_wrote_is_left_out_up_to_its_mark() -> None:
    kept, gone, later = (log_batch(at, plain(at, at + 1), producer=p) for at, p in ((0, 1), (2, 2), (5, 2)))
    mark = DefaultRecordBatchBuilder(2, 0, 1, 2, 0, 0, 1 << 20)
    mark.append(0, 1_004, b"\0\0\0\0", b"\0\0\0\0\0\0", [])
    built = mark.build()
    built[:8] = (4).to_bytes(8, "big")
    built[22] |= 0x20  # a control batch; the checksum below covers it
    built[17:21] = checksum(built)
    slow, columns = fetched(kept + gone + built + later, aborted=[(2, 2)])
    assert [row[0] for row in rows_of(columns)] == [0, 1, 5, 6]
    assert [record.offset for record in slow] == [0, 1, 5, 6]
    assert columns.next_fetch_offset == slow.next_fetch_offset == 7


def checksum(built: bytearray) -> bytes:
    from aiokafka.record.util import calc_crc32c

    return int(calc_crc32c(bytes(built[21:]))).to_bytes(4, "big")


def test_records_of_the_format_before_transactions_are_read_too() -> None:
    builder = LegacyRecordBatchBuilder(1, 0, 1 << 20)
    for offset in range(3):
        builder.append(offset, 1_000 + offset, b"k", b"v")
    slow, columns = fetched(bytes(builder.build()))
    assert rows_of(columns) == as_aiokafka(slow)


def test_damaged_records_are_refused() -> None:
    data = log_batch(0, plain(0, 1))
    data[-1] ^= 1
    with pytest.raises(CorruptRecordException, match=r"Invalid CRC"):
        list(fetched(bytes(data))[1])


def test_many_small_batches_come_as_few_columns_and_the_position_never_passes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetching, "CHUNK_RECORDS", 4)
    data = b"".join(bytes(log_batch(at, plain(at, at + 1))) for at in range(0, 14, 2))
    _, columns = fetched(data)
    seen = [(chunk.offsets.tolist(), columns.next_fetch_offset) for chunk in columns]
    assert seen == [([0, 1, 2, 3], 4), ([4, 5, 6, 7], 8), ([8, 9, 10, 11], 12), ([12, 13], 14)]


def test_records_are_cut_and_joined_in_all_columns() -> None:
    headers: list[list[Header]] = [[], [("h", b"1")]]
    one = Records(np.array([1, 3]), np.array([10, 30]), 0, [b"a", None], [b"x", b"y"], headers)
    two = Records(np.array([4]), np.array([40]), 1, [b"c"], [None])
    both = Records.joined([one, two])
    assert (both.first_offset, both.next_offset, both.time_kind) == (1, 5, 1)
    assert list(both.headers) == [[], [("h", b"1")], ()]
    later = both.since(2)
    assert (later.offsets.tolist(), later.times_ms.tolist()) == ([3, 4], [30, 40])
    assert (later.keys, later.values, len(later.headers)) == ([None, b"c"], [b"y", None], 2)
    assert len(both.since(5)) == 0


def test_what_the_columns_take_from_aiokafka_is_still_there() -> None:
    assert str(inspect.signature(fetcher.PartitionRecords)) == (
        "(tp, records, aborted_transactions, fetch_offset, key_deserializer, value_deserializer,"
        " check_crcs, isolation_level)"
    )
    assert str(inspect.signature(fetcher.Fetcher._proc_fetch_request)) == (
        "(self, assignment, node_id, request)"
    )
    written = inspect.getsource(fetcher.Fetcher._proc_fetch_request)
    assert "self._records[tp] = FetchResult(" in written
    assert "await " not in written[written.index("PartitionRecords(") :]
