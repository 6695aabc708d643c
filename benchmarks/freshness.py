"""How old figures and alerts are under load: prediction to visible row, label to alert.

    python benchmarks/freshness.py [--rate 20000] [--seconds 60] [--quick]

A real Kafka, ClickHouse's engine behind HTTP and `aftcast worker` with both roles at its defaults, while
`aftcast simulate` sends `rate` events a second; all of it on this machine. Ten times a second a prediction of
a model of its own is sent, and the time taken until `rollups` shows it to a reader. Then twice a second one
model of many gets a label that makes its accuracy fall below a rule, and the time is taken until a reader of
committed `alert-events` has the alert. Needs Java and Maven.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, Producer

from aftcast.kafka_broker import KafkaBroker
from sinks.clickhouse.client import connect

PARTITIONS = 6
PROBES_PER_S, LABELS_PER_S = 10, 2
WITHIN_S = 120
CONFIGURATION = """
[kafka]
bootstrap_servers = "{kafka}"
[clickhouse]
url = "{store}"
[topics]
partitions = {partitions}
[metrics]
port = 0
[detection]
silence_after = "1h"
[[rules]]
name = "wrong"
metric = "accuracy"
on = "all"
below = 0.5
min_labelled = 1
"""


class Rig:
    """Processes that end with it, and a producer."""

    def __init__(self, folder, broker):
        self.folder, self.processes = folder, []
        server = (sys.executable, "-m", "sinks.clickhouse.http_server", str(folder / "store"), "--port", "0")
        store = subprocess.Popen(server, stdout=subprocess.PIPE, text=True)
        self.processes.append(store)
        url = store.stdout.readline().strip()
        self.configuration = folder / "aftcast.toml"
        self.configuration.write_text(
            CONFIGURATION.format(kafka=broker.bootstrap, store=url, partitions=PARTITIONS)
        )
        self.client = connect(url)
        self.bootstrap = broker.bootstrap
        self.producer = Producer({"bootstrap.servers": broker.bootstrap, "partitioner": "murmur2_random"})

    def aftcast(self, *arguments, log):
        command = [sys.executable, "-m", "aftcast.cli", *arguments, "--config", str(self.configuration)]
        out = (self.folder / log).open("wb")
        return subprocess.Popen(command, stdout=out, stderr=out)

    def start(self, *arguments):
        self.processes.append(self.aftcast(*arguments, log=f"{arguments[0]}.log"))

    def run(self, *arguments):
        if self.aftcast(*arguments, log=f"{arguments[0]}.log").wait(WITHIN_S):
            raise RuntimeError((self.folder / f"{arguments[0]}.log").read_text())

    def send(self, topic, key, **event):
        self.producer.produce(topic, json.dumps({"prediction_id": key, **event}), key)
        self.producer.poll(0)

    def predict(self, model, key):
        now_ms = time.time_ns() // 1_000_000
        said = {"model": model, "model_version": "1", "timestamp": now_ms, "prediction": 1}
        self.send("inference-events", key, **said)

    def visible(self, model):
        """Return how many predictions of a model its rows hold."""
        rows = self.client.rows(
            "SELECT sum(predictions) AS n FROM aftcast.rollups FINAL "
            "WHERE model = {model:String} AND segment = ''",
            {"model": model},
        )
        return int(rows[0]["n"])

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(60)


def prediction_to_row(rig, seconds):
    """Return the seconds from each prediction's sending to the first look that finds it in ``rollups``."""
    sent_s, ages_s = [], []
    begin_s = time.perf_counter()
    while len(ages_s) < seconds * PROBES_PER_S:
        now_s = time.perf_counter()
        while len(sent_s) < min(seconds, now_s - begin_s) * PROBES_PER_S:
            rig.predict("probe", f"probe-{len(sent_s)}")
            sent_s.append(now_s)
        found = rig.visible("probe")
        now_s = time.perf_counter()
        ages_s += [now_s - sent for sent in sent_s[len(ages_s) : found]]
        if now_s - begin_s > seconds + WITHIN_S:
            raise RuntimeError(f"{found} of {len(sent_s)} predictions became visible")
        time.sleep(0.01)
    return ages_s


def label_to_alert(rig, count):
    """Return the seconds from the label of each model to its alert."""
    options = {"bootstrap.servers": rig.bootstrap, "group.id": "freshness", "fetch.wait.max.ms": 10}
    consumer = Consumer({**options, "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    consumer.subscribe(["alert-events"])
    begin_s, sent_s, heard_s = time.perf_counter(), {}, {}
    while len(heard_s) < count:
        now_s = time.perf_counter()
        if len(sent_s) < min(count, (now_s - begin_s) * LABELS_PER_S):
            model = f"alert-{len(sent_s)}"
            now_ms = time.time_ns() // 1_000_000
            rig.send("label-events", model, model=model, label=0, timestamp=now_ms)
            sent_s[model] = now_s
        for message in consumer.consume(1_000, 0.005):
            alert = json.loads(message.value())
            if alert["model"] in sent_s and alert["kind"] == "threshold":
                heard_s.setdefault(alert["model"], time.perf_counter())
        if now_s - begin_s > count / LABELS_PER_S + WITHIN_S:
            raise RuntimeError(f"{len(heard_s)} of {count} alerts came")
    consumer.close()
    return [heard_s[model] - sent_s[model] for model in heard_s]


def tell(name, ages_s):
    p50, p95, p99 = np.percentile(ages_s, (50, 95, 99))
    print(f"{name:20s} p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s of {len(ages_s)}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=20_000.0, help="events a second of other models")
    parser.add_argument("--seconds", type=int, default=60, help="of each measurement")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.rate, args.seconds = 2_000.0, 10
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder) / "kafka") as broker:
        rig = Rig(Path(folder), broker)
        try:
            rig.run("setup")
            rig.start("worker")
            rig.start("simulate", "--rate", f"{args.rate:g}")
            count = args.seconds * LABELS_PER_S
            for number in range(count):
                rig.predict(f"alert-{number}", f"alert-{number}")
            predicted_s = time.perf_counter()
            deadline_s = predicted_s + WITHIN_S
            while rig.visible("alert-0") < 1 and time.perf_counter() < deadline_s:
                time.sleep(0.1)
            tell("prediction to row", prediction_to_row(rig, args.seconds))
            # Windows of closed panes are judged: the pane's minute, and the lateness that is allowed.
            time.sleep(max(0.0, predicted_s + 150 - time.perf_counter()))
            tell("label to alert", label_to_alert(rig, count))
        finally:
            rig.close()


if __name__ == "__main__":
    main()
