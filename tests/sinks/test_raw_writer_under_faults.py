"""Whatever ClickHouse answers, or fails to, every record ends in its table once, and catching up is shown."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faulty_proxy import SLOW_S, FaultyProxy
from raw_records import Sender, inference, label, running, wait_until
from structlog.testing import capture_logs

from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from sinks.raw_blocks import RawTopics
from sinks.raw_lag import CatchUp, RawLag
from sinks.raw_writer import RawWriter, RawWriterSettings
from streams.decode import Decoder

PLACE = ("t", 0)
IN_ORDER = ("parts", "disk", "overloaded", "cut", "lost", "half", "slow")


@pytest.fixture
def topics(create_topic: Callable[..., str]) -> RawTopics:
    run = uuid.uuid4().hex[:8]
    return RawTopics(*(create_topic(f"{name}-{run}", 2) for name in RawTopics.__slots__))


@pytest.fixture
def proxied(clickhouse_http_url: str) -> Iterator[tuple[FaultyProxy, Any, str]]:
    name = f"faults_{uuid.uuid4().hex[:8]}"
    client = connect(clickhouse_http_url)
    migrate(client, name)
    client.close()
    client = connect(clickhouse_http_url, database=name)
    with FaultyProxy(clickhouse_http_url) as proxy:
        yield proxy, client, name
    client.command(f"DROP DATABASE {name}")
    client.close()


@pytest.mark.kafka
def test_every_kind_of_fault_is_answered_with_the_same_block_until_it_is_there(
    proxied: tuple[FaultyProxy, Any, str], kafka: str, topics: RawTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, client, name = proxied
    monkeypatch.setattr("sinks.raw_writer.FIRST_RETRY_S", 0.05)
    monkeypatch.setattr("sinks.raw_writer.LONGEST_RETRY_S", 0.1)
    sender = Sender(kafka)
    for number in range(1_000):
        sender.send(topics.inference, inference(number))
        sender.send(topics.labels, label(number))
    sender.flush()
    settings = RawWriterSettings(
        {"bootstrap.servers": kafka}, topics, f"raw-{topics.inference}", name, block_rows=500
    )
    proxy.faults.extend(IN_ORDER)
    writer = RawWriter(settings, lambda: connect(proxy.url, answer_within_s=SLOW_S // 2), Decoder())
    with running(writer):
        wait_until(lambda: writer.counters.written == sender.sent)
        wait_until(lambda: writer.counters.lag.records == 0)
    assert tuple(proxy.met) == IN_ORDER
    assert writer.counters.retries == len(IN_ORDER)
    first = [body for _, body in proxy.writes[: len(IN_ORDER) + 1]]
    # The first table of the block was tried until it was there, each time with the same bytes.
    assert len(set(first)) == 1
    for table in ("predictions", "labels"):
        query = f"SELECT count() AS n, uniqExact(prediction_id) AS ids FROM {table} FINAL"  # noqa: S608
        assert client.rows(query) == [{"n": 1_000, "ids": 1_000}]


@pytest.mark.kafka
def test_after_an_outage_the_backlog_is_written_with_its_progress_shown(
    proxied: tuple[FaultyProxy, Any, str],
    kafka: str,
    topics: RawTopics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy, _, name = proxied
    monkeypatch.setattr("sinks.raw_lag.CATCHING_UP_RECORDS", 5_000)
    monkeypatch.setattr("sinks.raw_lag.TELL_EVERY_S", 0.2)
    monkeypatch.setattr("sinks.raw_writer.ENDS_EVERY_S", 0.1)
    monkeypatch.setattr("sinks.raw_writer.FIRST_RETRY_S", 0.2)
    monkeypatch.setattr("sinks.raw_writer.LONGEST_RETRY_S", 0.2)
    sender = Sender(kafka)
    proxy.faults.extend(["cut"] * 10_000)
    settings = RawWriterSettings(
        {"bootstrap.servers": kafka}, topics, f"raw-{topics.inference}", name, block_rows=2_000
    )
    sender.send(topics.labels, label(0))
    sender.flush()
    writer = RawWriter(settings, lambda: connect(proxy.url), Decoder())
    with capture_logs() as lines, running(writer):
        wait_until(lambda: writer.counters.retries > 0)
        for number in range(20_000):
            sender.send(topics.inference, inference(number))
        sender.flush()
        # Nothing is fetched meanwhile, and yet the lag is known, in records and in time.
        wait_until(lambda: writer.counters.lag.records == sender.sent)
        wait_until(lambda: any(line.get("records_left") == sender.sent for line in lines))
        assert writer.counters.waiting < 2_100
        records, seconds = writer.counters.lag.by_topic(int(time.time() * 1000))[topics.labels]
        assert (records, seconds > 0) == (1, True)
        proxy.faults.clear()
        wait_until(lambda: writer.counters.written == sender.sent)
        wait_until(
            lambda: any(line.get("share") == 1.0 or line.get("records_left", 1e9) < 5_000 for line in lines)
        )
    told = [line for line in lines if line["event"] == "catching up"]
    away = [line for line in told if line["records_left"] == sender.sent]
    assert away[-1]["share"] == 0.0
    assert away[-1]["seconds_left"] is None
    back = told[told.index(away[-1]) + 1 :]
    left = [line["records_left"] for line in back]
    assert left == sorted(left, reverse=True)
    assert back[-1]["share"] > 0.7
    assert back[-1]["seconds_left"] is not None


def test_marks_of_transactions_at_the_end_of_a_log_are_no_lag() -> None:
    lag = RawLag()
    lag.assigned([PLACE])
    lag.starts(PLACE, 5)
    lag.ends(PLACE, 12)
    assert lag.records == 7
    lag.fetched(PLACE, 11, 1_000)
    lag.read_to_end(PLACE, 12)  # 11 is a mark
    assert lag.by_topic(3_500) == {"t": (7, 2.5)}
    lag.written(PLACE, 11)
    assert lag.by_topic(9_000) == {"t": (0, 0.0)}
    lag.read_to_end(PLACE, 13)
    assert lag.records == 0
    lag.assigned([])
    assert lag.by_topic(9_000) == {}


def test_a_block_that_ends_before_what_was_fetched_leaves_the_rest_as_lag() -> None:
    lag = RawLag()
    lag.assigned([PLACE])
    lag.fetched(PLACE, 10, 1_000)
    lag.fetched(PLACE, 11, 2_000)
    lag.read_to_end(PLACE, 12)
    lag.written(PLACE, 10)
    assert lag.by_topic(3_000)["t"][0] == 2


def test_a_backlog_that_grows_is_told_without_a_time_at_which_it_would_end() -> None:
    one = CatchUp()
    assert one.look(0.0, 0, 50_000) is None
    first = one.look(1.0, 0, 200_000)
    assert first is not None
    assert first.share == 0.0
    assert one.look(5.0, 10_000, 210_000) is None  # told within ten seconds
    later = one.look(11.0, 100_000, 300_000)
    assert later is not None
    assert (later.share, later.records_per_s, later.seconds_left) == (0.25, 10_000.0, None)
    last = one.look(13.0, 395_000, 6_000)
    assert last is not None
    assert (last.records_left, last.seconds_left) == (6_000, 6_000 * 2 / 294_000)
    assert one.look(30.0, 400_000, 0) is None
