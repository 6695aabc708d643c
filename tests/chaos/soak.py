"""Half an hour of high load with disturbances, and whether memory stays flat.

    python tests/chaos/soak.py [--minutes 30] [--rate 20000] [--seed N] [--horizon 2m]

Simulated traffic of two models, whose labels come minutes later, is drawn into a file (minutes, and some GB)
and goes through three workers and a raw writer, one disturbance about every minute. Resident memory of each
process is sampled. What a catch-up needs comes and goes; what is held all the time is the least of each
minute. Once a process has lived for three hot horizons and a minute, what waits has gone once round its
rings, which take no memory before, and then that must not grow: its slope, over all lives of a role together,
is told with its standard error. A catch-up can leave pieces behind that the allocator cannot give back, a
step in one life, which is no slope of all. A slope of more than 5 MB a minute is a failure, as is more than
2 GB at any time. Every record must be in exactly one place in the end.
"""

import argparse
import secrets
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil
from confluent_kafka import Consumer, TopicPartition
from disturbances import Hand, schedule
from disturbed_run import PARTITIONS, Plan, Run, count, last_words
from drawn_load import DrawnTraffic

from aftcast.failure import Failure
from aftcast.quantities import duration_ms
from aftcast.simulation import INFERENCE, LABELS
from aftcast.simulation.sending import Sender, paced
from sinks.clickhouse.client import Client, connect

KINDS = (
    "kill a worker",
    "freeze a worker",
    "a fourth worker",
    "kill the broker",
    "kill the raw writer",
    "store: down",
    "store: half an answer",
    "store: no space",
)
PEACE_TIMES = 16.0  # a disturbance about every minute instead of every seven seconds
SAMPLE_S = 2.0
LOOK_S = 10.0
LIMIT_MB_PER_MINUTE = 5.0
MOST_MB = 2048.0
FEWEST_MINUTES = 6  # of lives that are grown up: below that a slope says nothing
# A monitor holds panes for two hours at least: of seconds instead of minutes they would grow all that time.
PANE_S, MATURITY_S = 60, 600
# Nearly all labels come after the hot horizon: every pane is joined cold as long as they come.
COLD_INTERVAL = "1m"  # the default
WITHIN_S = 600.0  # what came late is joined cold in rounds of a minute
LEAST_OF_RATE = 0.9  # what was sent may lack, before this was no load of the rate that was asked for


class Memory(threading.Thread):
    """Samples resident memory of the members of a fleet, by role and life."""

    def __init__(self, run: Run) -> None:
        super().__init__(name="memory", daemon=True)
        self.samples: dict[str, list[tuple[int, float, float]]] = defaultdict(list)  # life, age in s, MB
        self._run, self._begun_s = run, {}
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            for name in self._run.fleet.names():
                pid = self._run.fleet.pid(name)
                if pid is None:
                    continue
                try:
                    process = psutil.Process(pid)
                    age_s = time.time() - process.create_time()
                    self.samples[name.partition("-")[0]].append(
                        (pid, age_s, process.memory_info().rss / 2**20)
                    )
                except psutil.NoSuchProcess:
                    continue

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def slope(self, role: str, grown_up_s: float) -> tuple[int, float, float, float]:
        """Return minutes of grown-up lives, MB a minute with its standard error, and the most MB ever."""
        minutes: dict[int, dict[int, float]] = defaultdict(dict)
        for pid, age_s, megabytes in self.samples[role]:
            if age_s >= grown_up_s:
                life, minute = minutes[pid], int(age_s / 60)
                life[minute] = min(megabytes, life.get(minute, megabytes))
        x, y = [], []
        for life in minutes.values():  # each has a level of its own
            ages, sizes = np.array(sorted(life.items()), float).T
            x.append(ages - ages.mean())
            y.append(sizes - sizes.mean())
        most = max((sample[2] for sample in self.samples[role]), default=0.0)
        n = sum(map(len, x))
        if n < FEWEST_MINUTES or n - len(x) < 2:
            return n, float("nan"), float("nan"), most
        ages, sizes = np.concatenate(x), np.concatenate(y)
        slope = float(ages @ sizes / (ages @ ages))
        left = sizes - slope * ages
        return n, slope, float(np.sqrt(left @ left / (n - len(x) - 1) / (ages @ ages))), most


class Load(threading.Thread):
    """Sends simulated traffic as its time comes; ``failed`` says why it ended early."""

    def __init__(self, run: Run, traffic: DrawnTraffic) -> None:
        super().__init__(name="load", daemon=True)
        self._run, self._traffic = run, traffic
        self.sent = self.predictions = 0
        self.failed = ""

    def run(self) -> None:
        topics = self._run.configuration.topics
        options = {"bootstrap.servers": self._run.broker.bootstrap, "enable.idempotence": "true"}
        names = {INFERENCE: topics.inference, LABELS: topics.labels}
        sender = _Patient(options | {"log_level": "0"}, names, within_s=WITHIN_S)
        end_ms = self._traffic.end_ms
        try:
            for events in paced(self._traffic.blocks(), lambda: time.time_ns() // 1_000_000):
                self.sent += sender.send(events)
                self.predictions += sum(event.kind == INFERENCE for event in events)
                if time.time_ns() // 1_000_000 > end_ms:
                    break  # where the machine cannot keep the pace, what it sent by then is what counts
            sender.close()
        except Failure as failure:
            self.failed = str(failure)

    @property
    def share(self) -> float:
        """How much of the predictions that were to be sent was; labels come later, some after the end."""
        traffic = self._traffic
        return 1000 * self.predictions / (traffic.predictions_per_s * (traffic.end_ms - traffic.start_ms))


class _Patient(Sender):
    """A sender for which a broker that is away for some seconds is no failure."""

    def _remember(self, error: object) -> None:
        """Let the client try again."""


def ends(run: Run) -> int:
    """Return how many records both inputs hold."""
    topics = run.configuration.topics
    consumer = Consumer({"bootstrap.servers": run.broker.bootstrap, "group.id": "ends"})
    places = [TopicPartition(t, p) for t in (topics.inference, topics.labels) for p in range(PARTITIONS)]
    try:
        return sum(consumer.get_watermark_offsets(place, timeout=30)[1] for place in places)
    finally:
        consumer.close()


def places(client: Client) -> dict[str, int]:
    """Return how many records are in each place where one may be."""
    found = {name: count(client, name) for name in ("predictions", "labels", "dead_letters")}
    # Of two models whose ids are never used twice, only what cannot be read is dead.
    statement = "SELECT sum(predictions) p, sum(duplicates) d FROM rollups FINAL WHERE segment = ''"
    (row,) = client.rows(statement)
    return found | {"counted in panes": int(row["p"] + row["d"])}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=20_000.0, help="records a second")
    parser.add_argument("--horizon", default="2m", help="hot horizon: after so long memory is to be flat")
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed, seconds = secrets.randbelow(10**6) if args.seed is None else args.seed, 60 * args.minutes
    command = f"python tests/chaos/soak.py --minutes {args.minutes:g} --rate {args.rate:g} "
    command += f"--horizon {args.horizon} --seed {seed}"
    print(f"again with: {command}", flush=True)
    with tempfile.TemporaryDirectory(prefix="aftcast-soak-") as directory:
        plan = Plan(
            seed,
            seconds,
            hot_horizon=args.horizon,
            pane_s=PANE_S,
            maturity_s=MATURITY_S,
            cold_interval=COLD_INTERVAL,
        )

        def say(text: str) -> None:
            print(text, flush=True)

        traffic = DrawnTraffic(Path(directory, "traffic"), seed, args.rate, seconds, say)
        run = Run(plan, Path(directory), say)
        memory = Memory(run)
        try:
            run.start()
            memory.start()
            time.sleep(max(0.0, traffic.start_ms / 1000 - time.time()))
            load = Load(run, traffic)
            load.start()
            hand = Hand(seed, run.fleet, run.broker, run.store, run.worker, run.say)
            for one in schedule(seed, seconds, KINDS, PEACE_TIMES):
                hand.do(one)
            load.join()
            told = f"{load.sent:,} records sent, {load.share:.0%} of the predictions"
            run.say(f"{told}, {run.fleet.restarts} restarts; peace")
            client = connect(run.direct_url, database=run.configuration.clickhouse.database)
            held, deadline_s = ends(run), time.monotonic() + WITHIN_S
            found = places(client)
            while not _whole(found, held) and time.monotonic() < deadline_s:
                time.sleep(LOOK_S)  # a look counts all rows, on the processor that those who catch up need
                found = places(client)
            client.close()
        finally:
            memory.stop()
            run.close()
        words = last_words(run)
    print(f"\nends of processes by exit code: {run.fleet.exits()}\n{words}")
    grown_up_s = 3 * duration_ms(args.horizon) / 1000 + 60
    print(f"{'':12}{'minutes':>9}{'MB a minute':>13}{'+-':>7}{'most MB':>9}")
    steep, known = [], 0
    for role in sorted(memory.samples):
        n, slope, error, most = memory.slope(role, grown_up_s)
        print(f"{role:12}{n:>9}{slope:>13.2f}{error:>7.2f}{most:>9.0f}")
        known += not np.isnan(slope)
        if role != "store" and (slope - 2 * error > LIMIT_MB_PER_MINUTE or most > MOST_MB):
            steep.append(role)
    print(f"\n{held:,} records in the topics; " + ", ".join(f"{n:,} {name}" for name, n in found.items()))
    if load.failed or load.share < LEAST_OF_RATE:
        print(f"NOT RIGHT: only {load.share:.0%} of the load was sent; {load.failed}")
        return 1
    right = _whole(found, held) and not steep
    flat = "memory flat" if known else "too short a run to tell the slope of memory"
    print(f"nothing lost, {flat}" if right else f"NOT RIGHT: {steep or 'records are missing'}")
    print(f"again with: {command}")
    return 0 if right else 1


def _whole(found: dict[str, int], held: int) -> bool:
    raw = found["predictions"] + found["labels"] + found["dead_letters"]
    return raw == held and found["counted in panes"] == found["predictions"]


if __name__ == "__main__":
    sys.exit(main())
