"""A real Kafka, one worker process, both topics to rollups handed to the sink, against plain Faust.

    python benchmarks/end_to_end.py [--events 1000000] [--rival-events 20000] [--runs 3]

The topics are filled first; the clock runs from the moment the worker has its partitions to the moment
at which the rows of pane-updates, as the ClickHouse writer receives them, hold every labelled pair. The
rival does the same join and counts with Faust's own agents and tables, on fewer events. Needs Java and Maven.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import traffic
from confluent_kafka import Consumer, Producer

from aftcast.kafka_broker import KafkaBroker
from schemas.messages import PANES, decode_panes, header_of

PARTITIONS = 2
BATCH = 20_000
WITHIN_S = 300


def fill(bootstrap, predictions, labels):
    """Send predictions, an hour old, and labels for the last ones, in whole batches."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 50,
            "queue.buffering.max.messages": 200_000,
            "batch.size": 200_000,
        }
    )
    start_ms = int(time.time() * 1000) - 3_600_000
    for first in range(0, predictions, BATCH):
        n = min(BATCH, predictions - first)
        kinds = [("inference-events", "InferenceEvent", traffic.predictions)]
        if first >= predictions - labels:
            kinds.append(("label-events", "LabelEvent", traffic.labels))
        for topic, name, make in kinds:
            records = make(first, n, start_ms=start_ms)
            for record, value in zip(records, traffic.encode(name, records), strict=True):
                producer.produce(topic, value, record["prediction_id"])
            producer.flush()


def environment(bootstrap):
    return os.environ | {
        "AFTCAST_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "AFTCAST_METRICS__PORT": "0",
        "PYTHONUNBUFFERED": "1",
    }


def aftcast_rate(folder, events):
    """Return (events per second, seconds of CPU per event) of one worker on a broker of its own."""
    with KafkaBroker(folder) as broker:
        for topic in ("inference-events", "label-events"):
            broker.create_topic(topic, PARTITIONS)
        for topic in ("pane-updates", "aftcast-findings", "alert-events", "dead-letter-events"):
            broker.create_topic(topic, 1)
        broker.create_topic("lifecycle-events", 1)
        for topic, partitions in (("aftcast-state", PARTITIONS), ("aftcast-journal", 1)):
            broker.create_topic(topic, partitions, {"cleanup.policy": "compact"})
        fill(broker.bootstrap, events // 2, events // 2)
        command = [sys.executable, "-m", "aftcast.cli", "worker", "--role", "streams"]
        log = folder / "worker.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(
                command, env=environment(broker.bootstrap), stdout=output, stderr=output
            )
        try:
            begin = wait_for_ready(worker, log)
            process = psutil.Process(worker.pid)
            before = process.cpu_times()
            end = wait_for_pairs(broker.bootstrap, events // 2, worker, log)
            after = process.cpu_times()
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(20)
        cpu = after.user + after.system - before.user - before.system
        return events / (end - begin), cpu / events


def wait_for_ready(worker, log):
    deadline = time.perf_counter() + WITHIN_S
    while time.perf_counter() < deadline and worker.poll() is None:
        if b"ready" in log.read_bytes():
            return time.perf_counter()
        time.sleep(0.005)
    raise RuntimeError(f"the worker did not get ready:\n{log.read_text()}")


def wait_for_pairs(bootstrap, pairs, worker, log):
    """Receive rows as the sink does, until the newest of each pane hold all labelled pairs."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "sink", "auto.offset.reset": "earliest"})
    consumer.subscribe(["pane-updates"])
    newest = {}
    deadline = time.perf_counter() + WITHIN_S
    try:
        while time.perf_counter() < deadline and worker.poll() is None:
            for message in consumer.consume(100, 0.1):
                if header_of(message.headers()) != PANES:
                    continue
                rows = decode_panes(message.value())
                columns = [
                    rows.column(name).to_pylist()
                    for name in ("segment", "pane_start", "partition", "labelled")
                ]
                for segment, pane, partition, labelled in zip(*columns, strict=True):
                    if not segment:
                        newest[pane, partition] = labelled
            if sum(newest.values()) == pairs:
                return time.perf_counter()
    finally:
        consumer.close()
    raise RuntimeError(f"{sum(newest.values()):,} of {pairs:,} pairs arrived:\n{log.read_text()[-3000:]}")


def rival_rate(folder, events):
    with KafkaBroker(folder) as broker:
        for topic in ("inference-events", "label-events"):
            broker.create_topic(topic, PARTITIONS)
        fill(broker.bootstrap, events // 2, events // 2)
        command = [
            sys.executable,
            str(Path(__file__).with_name("plain_faust.py")),
            broker.bootstrap,
            str(events),
        ]
        out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=WITHIN_S).stdout
        return float(out.split()[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rival-events", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    rates, rivals, cpus = [], [], []
    for run in range(args.runs):
        with tempfile.TemporaryDirectory() as folder:
            rate, cpu = aftcast_rate(Path(folder) / "a", args.events)
            rival = rival_rate(Path(folder) / "b", args.rival_events)
        rates.append(rate)
        rivals.append(rival)
        cpus.append(cpu)
        print(
            f"run {run + 1}: {rate:,.0f} events/s, {cpu * 1e6:.1f} us of CPU an event; Faust {rival:,.0f}",
            flush=True,
        )
    ratio = statistics.median(a / b for a, b in zip(rates, rivals, strict=True))
    cpu_us = statistics.median(cpus) * 1e6
    print(f"aftcast: {statistics.median(rates):,.0f} events/s, {cpu_us:.1f} us of CPU an event")
    print(
        f"plain Faust: {statistics.median(rivals):,.0f} events/s; ratio {ratio:.1f} (medians of {args.runs})"
    )


if __name__ == "__main__":
    main()
