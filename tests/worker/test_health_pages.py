"""The pages of health: what is wrong is told by part and with reasons, and metrics go on beside them."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from aftcast.raw_health import TURN_WITHIN_S, raw_part
from sinks.raw_writer import RawCounters
from streams.join.hot import JoinCounters
from streams.partition import StageCounters
from streams.worker.health import BEAT_WITHIN_S, Part, streams_part
from streams.worker.metrics import MetricsServer
from streams.worker.standing import Standing

JOIN = JoinCounters(**dict.fromkeys(JoinCounters.__dataclass_fields__, 0))
STANDING = Standing(StageCounters(7, 1, 0, 5, 2, JOIN, 0), 1_000, 2_000, True, True, 0, 0, 0, 0, "")


@dataclass
class Streams:
    """A streams role in a state of the test's choice."""

    assigned: bool = True
    partitions: dict[int, Standing] = field(default_factory=lambda: {0: STANDING, 3: STANDING})
    away: str = ""

    def unreachable(self) -> str:
        return self.away


@contextmanager
def served(*parts: Part) -> Iterator[str]:
    server = MetricsServer(host="127.0.0.1", port=0, parts=parts)
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.close()


def get(url: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_what_is_well_is_told_without_reasons_and_metrics_are_where_they_were() -> None:
    raw = RawCounters(assigned=True)
    with served(streams_part(Streams(), lambda: 0.1), raw_part(raw, lambda: "")) as url:
        assert get(url + "/healthz") == (200, {"alive": True, "reasons": []})
        assert get(url + "/readyz") == (200, {"ready": True, "reasons": []})
        with urllib.request.urlopen(url + "/metrics", timeout=5) as answer:  # noqa: S310
            assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("streams", "reason"),
    [
        (
            Streams(assigned=False, partitions={}),
            "no assignment from the consumer group yet, or it is being made anew",
        ),
        (
            Streams(partitions={0: STANDING, 3: replace(STANDING, settled=False, restored=(30, 40))}),
            "partition 3 is being restored: 30 of 40 records",
        ),
        (Streams(away="timed out"), "Kafka: not reachable (timed out)"),
    ],
)
def test_a_role_that_is_not_ready_says_why_and_is_alive(streams: Streams, reason: str) -> None:
    with served(streams_part(streams, lambda: 0.1)) as url:
        assert get(url + "/readyz") == (
            503,
            {"ready": False, "reasons": [{"part": "streams", "reason": reason}]},
        )
        assert get(url + "/healthz")[0] == 200


def test_an_event_loop_that_stands_still_is_neither_alive_nor_ready() -> None:
    for age_s, status in ((BEAT_WITHIN_S, 200), (BEAT_WITHIN_S + 1, 503)):
        with served(streams_part(Streams(), lambda age_s=age_s: age_s)) as url:  # type: ignore[misc]
            assert get(url + "/healthz")[0] == get(url + "/readyz")[0] == status


def test_the_raw_role_names_what_its_records_wait_for_and_asks_clickhouse_when_none_do() -> None:
    counters = RawCounters(read=7, written=2)
    part = raw_part(counters, lambda: "clickhouse: not reachable at c:8123")
    assert part.alive() == []
    assert part.ready() == [
        "no assignment from the consumer group yet",
        "clickhouse: not reachable at c:8123",
    ]
    counters.assigned, counters.waits_for = True, "registry: not reachable"
    assert part.ready() == ["5 records wait: registry: not reachable"]
    counters.turned_s = time.monotonic() - TURN_WITHIN_S - 5
    assert len(part.alive()) == 1
    counters.turned_s, counters.waits_for = time.monotonic(), ""
    assert raw_part(counters, None).ready() == []


def test_a_probe_that_fails_is_a_reason_and_no_page_of_frames() -> None:
    def fails() -> list[str]:
        raise RuntimeError("hunter2")

    with served(Part("odd", fails, fails)) as url:
        reasons = [{"part": "odd", "reason": "cannot be told: RuntimeError"}]
        assert get(url + "/readyz") == (503, {"ready": False, "reasons": reasons})
