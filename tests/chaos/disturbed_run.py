"""One run: Kafka, ClickHouse, workers and traffic, disturbed for a while, then left in peace and counted."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from accounts import (
    Account,
    Truth,
    alert_accounts,
    input_account,
    letter_account,
    merged_account,
    pane_account,
    quality_account,
    store_accounts,
)
from confluent_kafka import KafkaError, Producer
from disturbances import KINDS, Disturbance, Hand, schedule
from flaky_store import FlakyStore
from fleet import Fleet
from following import Follower
from sent_traffic import INFERENCE, Sent, Traffic

from aftcast.configuration import Configuration, Topics
from aftcast.findings import failures
from aftcast.kafka_broker import KafkaBroker
from aftcast.loading import load
from aftcast.setting_up import set_up_clickhouse, set_up_topics
from sinks.clickhouse.client import Client, connect

REPOSITORY = Path(__file__).parents[2]
PARTITIONS = 6
RULE_WINDOW_S = 20
INCIDENT_S, GOOD_FIRST_S = 30, 10
RULE = "accuracy-low"
UP_WITHIN_S, FLUSHED_WITHIN_S, DRAINED_WITHIN_S = 90.0, 60.0, 120.0

# No alert but the rule's is meant to be judged here, and none of silence: the run ends in it.
CONFIGURATION = """
[kafka]
bootstrap_servers = "{kafka}"
[clickhouse]
url = "http://127.0.0.1:{store}"
[topics]
partitions = {partitions}
[panes]
width = "{pane_s}s"
[join]
hot_horizon = "{horizon}"
cold_interval = "{cold_interval}"
[detection]
maturity_horizon = "{maturity_s}s"
silence_after = "1h"
[[rules]]
name = "{rule}"
model = "binary"
metric = "accuracy"
below = 0.75
window = "{window_s}s"
min_labelled = 10
"""


@dataclass(frozen=True)
class Plan:
    """What a run is asked for."""

    seed: int
    seconds: float
    rate_per_s: float = 400.0
    workers: int = 3
    kinds: tuple[str, ...] = KINDS
    hot_horizon: str = "1h"
    pane_s: int = 5
    maturity_s: int = 40
    cold_interval: str = "2s"
    cold: bool = False  # the horizon is so short that labels come too late for it


class Load(threading.Thread):
    """Sends traffic as time passes, until told to stop; keeps what it sent."""

    def __init__(self, bootstrap: str, topics: Topics, traffic: Traffic) -> None:
        super().__init__(name="load", daemon=True)
        self.sent: dict[int, Sent] = {}
        self.refused: set[int] = set()  # by the broker: they may be in the topic or not
        self.failure: BaseException | None = None
        self._topics, self._traffic = topics, traffic
        self._ended = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "delivery.timeout.ms": 300_000,
                "linger.ms": 5,
                "log_level": 0,
            }
        )

    def run(self) -> None:
        try:
            before_ms = now_ms()
            while not self._ended.wait(0.02):
                now = now_ms()
                self._send(self._traffic.until(before_ms, now))
                before_ms = now
            self._send(self._traffic.rest())
            self._flush()
        except BaseException as error:
            self.failure = error

    def stop(self) -> None:
        self._ended.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def _delivered(self, number: int, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self.refused.add(number)

    def _flush(self) -> None:
        if left := self._producer.flush(FLUSHED_WITHIN_S):
            raise RuntimeError(f"{left} records were not taken by the broker within {FLUSHED_WITHIN_S:g} s")

    def _send(self, records: list[Sent]) -> None:
        for one in records:
            self.sent[one.number] = one
            topic = self._topics.inference if one.side == INFERENCE else self._topics.labels
            headers = [("number", str(one.number).encode()), *one.headers]
            while True:
                try:
                    told = partial(self._delivered, one.number)
                    self._producer.produce(topic, one.value, one.key, headers=headers, on_delivery=told)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        self._producer.poll(0)


class Run:
    """Everything that one run starts; ``close`` ends it."""

    def __init__(self, plan: Plan, directory: Path, say: Callable[[str], None]) -> None:
        self.plan, self.directory = plan, directory
        self._say = say
        self._begun_s = time.monotonic()
        self.broker = KafkaBroker(directory / "broker")
        self.fleet: Fleet | None = None
        self.store: FlakyStore | None = None
        self.follower: Follower | None = None
        self.load: Load | None = None

    def say(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._begun_s:7.1f} s  {text}")

    def start(self) -> None:
        """Start everything, and wait until every worker is ready."""
        # Once for all of them: what each would compile beside the others takes minutes on two cores.
        subprocess.run([sys.executable, "-m", "aftcast.warm_up"], check=True, cwd=REPOSITORY)
        self.broker.start()
        store_port = free_port()
        self.fleet = Fleet(self.directory, {"PYTHONPATH": str(REPOSITORY)})
        server = ("-m", "sinks.clickhouse.http_server", str(self.directory / "store"))
        self.fleet.start("store", *server, "--port", str(store_port))
        self.direct_url = f"http://127.0.0.1:{store_port}"
        self.store = FlakyStore(store_port)
        path = self.directory / "aftcast.toml"
        path.write_text(
            CONFIGURATION.format(
                kafka=self.broker.bootstrap, store=self.store.port, partitions=PARTITIONS, rule=RULE,
                pane_s=self.plan.pane_s, window_s=max(RULE_WINDOW_S, self.plan.pane_s),
                horizon=self.plan.hot_horizon, maturity_s=self.plan.maturity_s,
                cold_interval=self.plan.cold_interval,
            )
        )  # fmt: skip
        self.configuration: Configuration = load(path)
        self._await("ClickHouse", lambda: b"http" in self.fleet.log("store").read_bytes())
        found = [*set_up_topics(self.configuration), *set_up_clickhouse(self.configuration)]
        if failures(found):
            raise RuntimeError(f"set-up failed: {found}")
        worker = ("-m", "aftcast.cli", "worker", "--config", str(path), "--metrics-port", "0", "--role")
        self.worker = (*worker, "streams")
        self.fleet.start("raw", *worker, "raw")
        for number in range(self.plan.workers):
            self.fleet.start(f"worker-{number + 1}", *self.worker)
        topics = self.configuration.topics
        self.follower = Follower(
            self.broker.bootstrap, topics.pane_updates, topics.dead_letters, topics.alerts
        )
        self.follower.start()
        for name in self.fleet.names("worker"):
            self._await(name, lambda name=name: b"ready" in self.fleet.log(name).read_bytes())
        self.say(f"{self.plan.workers} workers are ready")

    def disturb(self) -> list[Disturbance]:
        """Send traffic and disturb everything until the time is over; return what was done."""
        begin_ms = now_ms()
        end_ms = begin_ms + int(1000 * self.plan.seconds)
        self.incidents = incidents_of(begin_ms, end_ms)
        traffic = Traffic(self.plan.seed, self.plan.rate_per_s, self.incidents, refusals=not self.plan.cold)
        self.load = Load(self.broker.bootstrap, self.configuration.topics, traffic)
        self.load.start()
        hand = Hand(self.plan.seed, self.fleet, self.broker, self.store, self.worker, self.say)
        done = []
        for one in schedule(self.plan.seed, self.plan.seconds, self.plan.kinds):
            hand.do(one)
            done.append(one)
        time.sleep(max(0.0, (end_ms - now_ms()) / 1000))
        self.load.stop()
        self.say(f"{len(self.load.sent):,} records sent, {self.fleet.restarts} restarts; peace")
        return done

    def settle(self) -> list[Account]:
        """Wait until nothing more changes, and account for everything."""
        topics, width_ms = self.configuration.topics, 1000 * self.plan.pane_s
        truth = Truth(self.broker.bootstrap, topics, self.load.sent, width_ms)
        self.say(f"expected: {truth.counted} predictions, pairs, repeats; {len(truth.dead)} dead letters")
        client = connect(self.direct_url, database=self.configuration.clickhouse.database)
        quiet_at_s = time.monotonic() + self.plan.maturity_s + RULE_WINDOW_S
        self._wait_for(lambda: self.follower.counted() == truth.counted, "panes")
        self._wait_for(lambda: self._stored(client) == self._to_be_stored(truth), "ClickHouse")
        # The last panes mature, and what fires has been resolved before them.
        time.sleep(max(0.0, quiet_at_s - time.monotonic()))
        self._wait_for(lambda: count(client, "alerts") == len(self.follower.alerts), "alerts in ClickHouse")
        self._wait_for(lambda: self._rollups(client) == truth.counted, "rollups")
        try:
            return [
                input_account(truth, self.load.sent.keys(), self.load.refused),
                *(
                    merged_account(truth, self.follower)
                    if self.plan.cold
                    else pane_account(truth, self.follower)
                ),
                letter_account("dead letters, committed", truth, self.follower.letters),
                *store_accounts(truth, client),
                quality_account(truth, client),
                *alert_accounts(self.follower.alerts, RULE, len(self.incidents), client),
            ]
        finally:
            client.close()

    def close(self) -> None:
        for part in (self.load, self.fleet, self.store, self.follower):
            if part is not None:
                with_stop = getattr(part, "stop", None) or part.close
                try:
                    with_stop()
                except Exception as error:
                    self.say(f"while closing: {error!r}")
        self.broker.stop()

    def _to_be_stored(self, truth: Truth) -> tuple[int, ...]:
        return len(truth.readable["inference"]), len(truth.readable["labels"]), len(truth.dead)

    def _stored(self, client: Client) -> tuple[int, ...]:
        return tuple(count(client, name) for name in ("predictions", "labels", "dead_letters"))

    def _rollups(self, client: Client) -> tuple[int, ...]:
        statement = (
            "SELECT sum(predictions) p, sum(labelled) l, sum(duplicates) d FROM rollups FINAL "
            "WHERE segment = ''"
        )
        (row,) = client.rows(statement)
        return row["p"], row["l"], row["d"]

    def _await(self, what: str, there: Callable[[], Any]) -> None:
        deadline_s = time.monotonic() + UP_WITHIN_S
        while not there():
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"{what} is not up within {UP_WITHIN_S:g} s; logs: {self.directory}")
            time.sleep(0.1)

    def _wait_for(self, reached: Callable[[], bool], what: str) -> None:
        # Not an error by itself: the accounts say what is missing.
        begun_s = time.monotonic()
        while not reached():
            if time.monotonic() - begun_s > DRAINED_WITHIN_S:
                self.say(f"{what}: still not all there after {DRAINED_WITHIN_S:g} s")
                return
            time.sleep(0.5)
        self.say(f"{what}: all there after {time.monotonic() - begun_s:.1f} s")


def incidents_of(begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Return spans of errors, as many as there is room for, each with three times its length between."""
    step_ms = 1000 * 4 * INCIDENT_S
    first_ms, last_ms = begin_ms + 1000 * GOOD_FIRST_S, end_ms - 1000 * (INCIDENT_S + 2 * RULE_WINDOW_S)
    return [(at, at + 1000 * INCIDENT_S) for at in range(first_ms, last_ms + 1, step_ms)]


def count(client: Client, name: str) -> int:
    (row,) = client.rows(f"SELECT count() n FROM {name} FINAL")  # noqa: S608
    return int(row["n"])


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def last_words(run: Run, lines: int = 3) -> str:
    """Return the last lines of each log that tell of an end, for whoever looks into a failure."""
    told = []
    for name in sorted(path.stem for path in run.directory.glob("*.log")):
        text = (run.directory / f"{name}.log").read_text(errors="replace").splitlines()
        told += [f"{name}: {line[:300]}" for line in [x for x in text if "stopped" in x][-lines:]]
    return "\n".join(told)
