"""The pure core on one core: Avro to columns, codes, join and panes, against the same job in plain Python.

    python benchmarks/core.py [--events 1000000] [--runs 3]

Both topics count as events; time is that of the processor. The rival does with fastavro and dicts what most
people would write first.
"""

import argparse
import statistics
import time
from collections import defaultdict
from io import BytesIO

import fastavro
import traffic

from schemas.contracts import CONTRACTS
from schemas.settings import JoinSettings, MonitorSettings
from streams.decode import Decoder
from streams.partition import PartitionStage

BATCH = 20_000


def recorded(events, features=True):
    """Return alternating (kind, raw batch) of about ``events`` events, half of them labels."""
    batches = []
    for first in range(0, events // 2, BATCH):
        said = traffic.predictions(first, BATCH, features=features)
        truth = traffic.labels(first, BATCH)
        for kind, topic, records in (
            ("InferenceEvent", "inference-events", said),
            ("LabelEvent", "label-events", truth),
        ):
            values = traffic.encode(kind, records)
            times_ms = [record["timestamp"] for record in records]
            batches.append((kind, traffic.raw_batch(topic, first, values, times_ms)))
    return batches


def run_core(batches):
    decoder, stage = Decoder(), PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    parts = defaultdict(float)
    count_features = stage.features.add

    def timed(*args):
        start = time.process_time()
        count_features(*args)
        parts["  of it counting features"] += time.process_time() - start

    stage.features.add = timed
    begin = time.process_time()
    for kind, raw in batches:
        start = time.process_time()
        if kind == "InferenceEvent":
            decoded = decoder.decode_inference(raw)
            middle = time.process_time()
            stage.apply_inference(decoded)
        else:
            decoded = decoder.decode_labels(raw)
            middle = time.process_time()
            stage.apply_labels(decoded)
        parts["decode " + kind] += middle - start
        parts["apply " + kind] += time.process_time() - middle
    rows = stage.take_changed()
    stage.take_changed_features()
    elapsed = time.process_time() - begin
    hits = sum(n for n, s in zip(rows["hits"].to_pylist(), rows["segment"].to_pylist(), strict=True) if not s)
    return elapsed, parts, hits


def run_plain(batches):
    """Join and count with dicts, one event at a time."""
    waiting, panes = {}, defaultdict(lambda: defaultdict(int))
    begin = time.process_time()
    for kind, raw in batches:
        schema = CONTRACTS[kind].parsed
        for value in raw.values:
            event = fastavro.schemaless_reader(BytesIO(value[10:]), schema)
            key = event["prediction_id"]
            if kind == "InferenceEvent":
                pane = int(event["timestamp"].timestamp()) // 60
                keys = [""] + [f"{k}={v}" for k, v in event["segments"].items()]
                waiting[key] = (pane, keys, event["prediction"])
                for segment in keys:
                    panes[pane, segment]["predictions"] += 1
                    panes[pane, segment]["cost"] += event["cost"]
            elif key in waiting:
                pane, keys, said = waiting[key]
                for segment in keys:
                    panes[pane, segment][event["label"], said] += 1
                    panes[pane, segment]["hits"] += event["label"] == said
    elapsed = time.process_time() - begin
    return elapsed, sum(row["hits"] for (_, segment), row in panes.items() if not segment)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    batches, bare = recorded(args.events), recorded(args.events, features=False)
    events = sum(len(raw) for _, raw in batches)
    sample = batches[: max(2, len(batches) // 10)]
    run_core(batches[:2])  # compiles, or loads what was compiled
    rates, bare_rates, counting, ratios = [], [], [], []
    for _ in range(args.runs):
        elapsed, parts, hits = run_core(batches)
        plain, plain_hits = run_plain(sample)
        sampled = sum(len(raw) for _, raw in sample)
        assert run_core(sample)[2] == plain_hits
        rates.append(events / elapsed)
        bare_rates.append(events / run_core(bare)[0])
        counting.append(parts["  of it counting features"] / events * 1e6)
        ratios.append(rates[-1] / (sampled / plain))
    print(f"{events:,} events, {hits:,} right answers")
    for name, seconds in parts.items():
        print(f"  {name:24s} {seconds / (events / 2) * 1e6:6.2f} us an event")
    print(f"core: {statistics.median(rates):,.0f} events/s with ten features (median of {args.runs})")
    without = statistics.median(bare_rates)
    cost_us = 1e6 / statistics.median(rates) - 1e6 / without
    print(f"without features: {without:,.0f} events/s; they cost {cost_us:.2f} us an event, labels included,")
    print(f"of which counting them {statistics.median(counting):.2f} us and the rest decoding them")
    print(f"ratio to plain Python with fastavro and dicts: {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
