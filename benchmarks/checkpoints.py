"""What checkpoints cost, and how fast a partition is at work again: after a restart, a kill, a hand-over.

    python benchmarks/checkpoints.py [--events 2000000] [--runs 3] [--quick]

On a real Kafka, with worker processes. Throughput is taken with and without checkpoints, in turns. For the
rest a million predictions (half of --events) wait for their labels: a restart reads them again, a kill and a
hand-over those of one of two partitions. Times end at the first progress under the new epoch that a reader of
committed data sees, and include the start of the process where there is one. Needs Java and Maven; where
scikit-learn is installed, as for the tests, a start takes half a second more, as river imports it.
"""

import argparse
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer
from end_to_end import BATCH, PARTITIONS, fill, wait_for_pairs, wait_for_ready

from aftcast.kafka_broker import KafkaBroker
from schemas.findings import Progress
from schemas.messages import PROGRESS, decode, header_of

WITHIN_S = 300
REST_S = 5  # until what was just counted is watched too: a restart in the middle of that repeats it
WORKER = """
import json, sys
from streams.decode import Decoder
from streams.worker.run import run_worker
from streams.worker.settings import WorkerSettings
sys.exit(run_worker(WorkerSettings(**json.loads(sys.argv[1])), Decoder()))
"""


def topics(broker):
    for topic in ("inference-events", "label-events"):
        broker.create_topic(topic, PARTITIONS)
    for topic in ("aftcast-findings", "alert-events", "dead-letter-events", "lifecycle-events"):
        broker.create_topic(topic, 1)
    for topic, partitions in (("aftcast-state", PARTITIONS), ("aftcast-journal", 1)):
        broker.create_topic(topic, partitions, {"cleanup.policy": "compact"})


def start(broker, log, **more):
    settings = {"kafka": {"bootstrap.servers": broker.bootstrap}, **more}
    with log.open("ab") as out:
        return subprocess.Popen([sys.executable, "-c", WORKER, json.dumps(settings)], stdout=out, stderr=out)


def end(worker):
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)


class Heard:
    """Reads committed progress, and knows the newest epoch of each partition."""

    def __init__(self, broker):
        options = {"bootstrap.servers": broker.bootstrap, "group.id": "heard"}
        self.consumer = Consumer({**options, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10})
        self.consumer.subscribe(["pane-updates"])
        self.epochs = {}

    def until(self, enough):
        """Return the time at which the epochs were enough."""
        deadline = time.perf_counter() + WITHIN_S
        while time.perf_counter() < deadline:
            for message in self.consumer.consume(1_000, 0.02):
                if header_of(message.headers()) == PROGRESS:
                    told = decode(message.value(), Progress)
                    self.epochs[told.partition] = max(told.epoch, self.epochs.get(told.partition, 0))
            if enough(self.epochs):
                return time.perf_counter()
        raise RuntimeError(f"no progress: {self.epochs}")

    def grown(self, before):
        """Return the time at which every partition had another owner than ``before`` says."""
        return self.until(lambda now: all(now.get(p, 0) > e for p, e in before.items()))

    def all_there(self):
        self.until(lambda now: len(now) == PARTITIONS)
        return dict(self.epochs)


def rate(folder, events, checkpoints):
    """Return events per second of one worker, from its partitions to all labelled pairs in pane-updates."""
    with KafkaBroker(folder) as broker:
        topics(broker)
        broker.create_topic("pane-updates", 1)
        fill(broker.bootstrap, events // 2, events // 2)
        log = folder / "worker.log"
        worker = start(broker, log, checkpoints=checkpoints)
        try:
            begin = wait_for_ready(worker, log)
            return events / (wait_for_pairs(broker.bootstrap, events // 2, worker, log) - begin)
        finally:
            end(worker)


def restored(log, count):
    """Return records and seconds of the last ``count`` restores that a log tells of."""
    plain = re.sub(r"\x1b\[\d*m", "", log.read_text())
    found = re.findall(r"restored .*?records=(\d+) took_s=([\d.]+)", plain)[-count:]
    return sum(int(records) for records, _ in found), max(float(took) for _, took in found)


def at_work_again(folder, waiting):
    """Return what a restart, a kill and a hand-over take while so many predictions wait."""
    with KafkaBroker(folder) as broker:
        topics(broker)
        broker.create_topic("pane-updates", 1)
        fill(broker.bootstrap, waiting, BATCH)
        logs = [folder / f"{name}.log" for name in ("first", "again", "other", "third")]
        workers = [start(broker, logs[0])]
        try:
            wait_for_ready(workers[0], logs[0])
            wait_for_pairs(broker.bootstrap, BATCH, workers[0], logs[0])
            heard = Heard(broker)
            time.sleep(REST_S)
            before = heard.all_there()
            end(workers[0])
            began = time.perf_counter()
            workers.append(start(broker, logs[1]))
            restart_s = heard.grown(before) - began
            records, took_s = restored(logs[1], PARTITIONS)
            # One more, so that each has a partition; then one dies, and later one leaves.
            before = heard.all_there()
            workers.append(start(broker, logs[2]))
            heard.until(lambda now: any(now[p] > e for p, e in before.items()))
            before = heard.all_there()
            workers[2].kill()
            began = time.perf_counter()
            failover_s = heard.until(lambda now: any(now[p] > e for p, e in before.items())) - began
            before = heard.all_there()
            workers.append(start(broker, logs[3]))
            heard.until(lambda now: any(now[p] > e for p, e in before.items()))
            before = heard.all_there()
            began = time.perf_counter()
            workers[3].send_signal(signal.SIGTERM)
            hand_over_s = heard.until(lambda now: any(now[p] > e for p, e in before.items())) - began
            handed, handed_s = restored(logs[1], 1)
            return restart_s, records / took_s, failover_s, hand_over_s, handed / handed_s
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="200,000 events, once: a try, no measurement")
    args = parser.parse_args()
    events, runs = (200_000, 1) if args.quick else (args.events, args.runs)
    rates = {True: [], False: []}
    for run in range(runs):
        for checkpoints in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                rates[checkpoints].append(rate(Path(folder), events, checkpoints))
        with_them, without = rates[True][-1], rates[False][-1]
        print(f"run {run + 1}: {with_them:,.0f} events/s with checkpoints, {without:,.0f} without")
    cost = 1 - statistics.median(w / o for w, o in zip(rates[True], rates[False], strict=True))
    print(f"checkpoints cost {cost:.1%} of throughput (median of {runs} ratios)")
    with tempfile.TemporaryDirectory() as folder:
        restart_s, started, failover_s, hand_over_s, handed = at_work_again(Path(folder), events // 2)
    print(f"restart with {events // 2:,} waiting predictions: first result after {restart_s:.1f} s")
    print(f"rebuilt at {started:,.0f} records/s beside its imports, at {handed:,.0f} in a worker that is up")
    print(f"killed: its partition is at work elsewhere, restored, after {failover_s:.1f} s")
    print(f"told to end: after {hand_over_s:.1f} s")


if __name__ == "__main__":
    main()
