"""Whether this machine's clock goes with the brokers' and with ClickHouse's."""

import time
from collections.abc import Callable, Iterable

from aftcast.failure import Failure
from aftcast.findings import Finding
from aftcast.kafka_admin import KafkaAdmin
from sinks.clickhouse.client import Client

NowMs = Callable[[], int]

TOLERATED_MS = 5_000  # what nobody notices: lags and ages are shown in seconds
HARMFUL_MS = 60_000  # a pane: an idle partition goes by this clock, and would close panes that still fill
WATCHED_MS = 1_000  # for a record to come, whose time can be held against ours
LOOK_EVERY_S = 0.1
REMEDY = "let NTP (chrony, systemd-timesyncd) set the clock of each machine"


def machine_now_ms() -> int:
    return time.time_ns() // 1_000_000


def skew_finding(item: str, ahead_ms: float, whose: str, known: str) -> Finding:
    """Judge by how much another clock is ahead of ours, negative if behind; ``known`` is how we know."""
    if abs(ahead_ms) <= TOLERATED_MS:
        return Finding("ok", item, f"{whose} goes with this machine's, {known}")
    way = "ahead of" if ahead_ms > 0 else "behind"
    text = f"{whose} is {abs(ahead_ms) / 1000:.0f} s {way} this machine's: "
    if abs(ahead_ms) > HARMFUL_MS:
        return Finding("failure", item, text + "idle partitions would close panes that still fill", REMEDY)
    return Finding("warning", item, text + "lags and ages are shown wrong by that", REMEDY)


def store_clock_finding(client: Client, now_ms: NowMs) -> Finding:
    """Ask ClickHouse for its time; what the answer took is no skew."""
    before_ms = now_ms()
    (row,) = client.rows("SELECT toUnixTimestamp64Milli(now64(3)) AS at_ms")
    ahead_ms = _outside(row["at_ms"], before_ms, now_ms())
    return skew_finding("clock of clickhouse", ahead_ms, "its clock", "to the length of an answer")


def kafka_clock_finding(admin: KafkaAdmin, places: Iterable[tuple[str, int]], now_ms: NowMs) -> Finding:
    """Hold the times that brokers gave to the newest records against ours.

    Kafka tells its time only by records: one that comes while we look has a time between two of ours, and
    without one only a clock that is ahead shows.

    Parameters
    ----------
    places
        Partitions of topics whose record times are the brokers'.
    """
    item = "clock of kafka"
    places = list(places)
    from_ms = looked_ms = now_ms()
    try:
        newest = first = admin.newest_times_ms(places)
        deadline_s = time.monotonic() + WATCHED_MS / 1000
        while newest == first and time.monotonic() < deadline_s:
            time.sleep(LOOK_EVERY_S)
            # What is new now came after the look before this one began.
            from_ms, looked_ms = looked_ms, now_ms()
            newest = admin.newest_times_ms(places)
    except Failure as failure:
        text = f"cannot be told: {failure}"
        return Finding("warning", item, text, "allow Describe on the input topics")
    until_ms = now_ms()
    fresh = [at_ms for place, at_ms in newest.items() if at_ms != first.get(place)]
    if fresh:
        ahead_ms = _outside(max(fresh), from_ms, until_ms)
        return skew_finding(item, ahead_ms, "the brokers' clock", "by a record that came just now")
    ahead_ms = max(newest.values(), default=0) - until_ms
    if ahead_ms > TOLERATED_MS:
        return skew_finding(item, ahead_ms, "the brokers' clock", "")
    text = "not told: no record came within a second, and none that is there is ahead of this machine's clock"
    return Finding("ok", item, text)


def _outside(at_ms: int, from_ms: int, to_ms: int) -> int:
    """Return by how much a time lies after an interval of ours, negative: before it, 0: within."""
    return max(at_ms - to_ms, 0) + min(at_ms - from_ms, 0)
