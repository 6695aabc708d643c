"""The same kills for aftcast and for the same job in plain Faust: how many pairs each loses or counts twice.

    python tests/chaos/rival_run.py [--seconds 60] [--rate 300] [--seed 0]

One worker each, on a Kafka of its own: predictions, and three seconds later a label for each of them. It is
killed by SIGKILL every few seconds at random moments and started again. Afterwards the counts of each pane
are compared with what was sent. What a system has not counted a minute and a half after its last change is
called lost, though it may only stand still.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Producer
from disturbed_run import REPOSITORY
from fleet import Fleet
from following import Follower, whole

from aftcast.kafka_broker import KafkaBroker

sys.path.append(str(REPOSITORY / "benchmarks"))
import traffic

PARTITIONS = 2
PANE_MS = 60_000  # of both
LABEL_AFTER_MS = 3_000
SETTLED_S, WITHIN_S = 90.0, 240.0  # without any change: Faust misses a dead member after 60 s
Counts = Counter[tuple[str, int]]  # "predictions" or "pairs", pane


def send(bootstrap: str, seconds: float, rate: float, kill: Callable[[], None], seed: int) -> Counts:
    """Send predictions and their labels in time, kill now and then, and return what was sent."""
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 5})
    rng, sent, begun_ms = random.Random(seed), Counter(), int(time.time() * 1000)
    n = int(seconds * rate)
    records = {
        "inference-events": traffic.predictions(0, n, rate / 1000, seed, begun_ms),
        "label-events": traffic.labels(0, n, rate / 1000, seed, begun_ms),
    }
    for label in records["label-events"]:
        label["timestamp"] += LABEL_AFTER_MS - traffic.DELAY_MS
    names = {"inference-events": "InferenceEvent", "label-events": "LabelEvent"}
    values = {topic: traffic.encode(names[topic], some) for topic, some in records.items()}
    times_ms = [record["timestamp"] for record in records["inference-events"]]
    for at_ms in times_ms:
        sent["predictions", at_ms // PANE_MS] += 1
        sent["pairs", at_ms // PANE_MS] += 1
    reached, kill_at_s = dict.fromkeys(records, 0), time.time() + rng.uniform(4, 9)
    while min(reached.values()) < n:
        for topic, delay_ms in (("inference-events", 0), ("label-events", LABEL_AFTER_MS)):
            while reached[topic] < n and times_ms[reached[topic]] + delay_ms <= time.time() * 1000:
                at = reached[topic]
                producer.produce(topic, values[topic][at], records[topic][at]["prediction_id"])
                reached[topic] = at + 1
        producer.poll(0.005)
        if time.time() >= kill_at_s:
            kill()
            kill_at_s = time.time() + rng.uniform(4, 9)
    producer.flush(30)
    return sent


def faust_counts(bootstrap: str) -> Counts:
    """Return what the newest values of the rival's table say."""
    newest = {json.loads(m.key()): m.value() for m in whole(bootstrap, "rival-panes-changelog")}
    counts: Counts = Counter()
    for key, value in newest.items():
        pane, _, country = key.partition("/")
        if country or value is None:
            continue
        row = json.loads(value)
        counts["predictions", int(pane)] = row.pop("predictions", 0)
        counts["pairs", int(pane)] = sum(row.values())
    return counts


def aftcast_counts(follower: Follower) -> Counts:
    counts: Counts = Counter()
    for (_, _, _, start_ms, _), (predictions, labelled, _) in follower.totals.items():
        counts["predictions", start_ms // PANE_MS] += predictions
        counts["pairs", start_ms // PANE_MS] += labelled
    return counts


def differences(sent: Counts, found: Counts, what: str) -> tuple[int, int]:
    """Return how many are missing, and how many too many, pane by pane."""
    keys = [key for key in sent.keys() | found.keys() if key[0] == what]
    missing = sum(max(0, sent[key] - found[key]) for key in keys)
    return missing, sum(max(0, found[key] - sent[key]) for key in keys)


def one(system: str, directory: Path, seconds: float, rate: float, seed: int) -> tuple[Counts, Counts, int]:
    """Run one system under the kills; return what was sent, what it counted, and how often it was killed."""
    with KafkaBroker(directory / "broker") as broker:
        for topic, partitions in (("inference-events", PARTITIONS), ("label-events", PARTITIONS)):
            broker.create_topic(topic, partitions)
        environment = {"PYTHONPATH": str(REPOSITORY)}
        follower = None
        if system == "aftcast":
            for topic in ("pane-updates", "aftcast-findings", "alert-events", "dead-letter-events"):
                broker.create_topic(topic, 1)
            broker.create_topic("lifecycle-events", 1)
            for topic, partitions in (("aftcast-state", PARTITIONS), ("aftcast-journal", 1)):
                broker.create_topic(topic, partitions, {"cleanup.policy": "compact"})
            environment |= {
                "AFTCAST_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
                "AFTCAST_METRICS__PORT": "0",
            }
            arguments = ("-m", "aftcast.cli", "worker", "--role", "streams")
            follower = Follower(broker.bootstrap, "pane-updates", "dead-letter-events", "alert-events")
        else:
            script = str(REPOSITORY / "benchmarks" / "plain_faust.py")
            arguments = (script, broker.bootstrap, str(10**9), "rival")
        fleet, kills = Fleet(directory, environment), 0

        def kill() -> None:
            nonlocal kills
            kills += fleet.signal("worker", signal.SIGKILL)

        def counted() -> Counts:
            return faust_counts(broker.bootstrap) if follower is None else aftcast_counts(follower)

        try:
            if follower is not None:
                follower.start()
            fleet.start("worker", *arguments)
            time.sleep(8)  # both have joined their group by then
            sent = send(broker.bootstrap, seconds, rate, kill, seed)
            return sent, _settled(sent, counted), kills
        finally:
            fleet.close()
            if follower is not None:
                follower.close()


def _settled(sent: Counts, counted: Callable[[], Counts]) -> Counts:
    found, since_s, deadline_s = counted(), time.monotonic(), time.monotonic() + WITHIN_S
    while found != sent and time.monotonic() < min(deadline_s, since_s + SETTLED_S):
        time.sleep(1)
        if (now := counted()) != found:
            found, since_s = now, time.monotonic()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=300.0, help="predictions a second, and as many labels")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(f"{'':14}{'kills':>7}{'pairs':>9}{'lost':>8}{'doubled':>9}   of predictions lost, doubled")
    for system in ("plain Faust", "aftcast"):
        with tempfile.TemporaryDirectory(prefix="aftcast-rival-") as directory:
            sent, found, kills = one(system, Path(directory), args.seconds, args.rate, args.seed)
        pairs = sum(n for (what, _), n in sent.items() if what == "pairs")
        (lost, doubled), (less, more) = (differences(sent, found, what) for what in ("pairs", "predictions"))
        print(f"{system:14}{kills:>7}{pairs:>9,}{lost:>8,}{doubled:>9,}   {less:,}, {more:,}", flush=True)


if __name__ == "__main__":
    main()
