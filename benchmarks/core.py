"""The pure core on one core: Avro to columns, codes, join and panes, against the same job in plain Python.

    python benchmarks/core.py [--events 1000000] [--runs 3]

Both topics count as events, so a prediction and its label are two; time is that of the processor. The rival
does with fastavro and dicts what most people would write first.
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
from streams.codes.coder import Coder
from streams.decode import Decoder
from streams.features.store import FeatureStore
from streams.join.hot import HotJoin
from streams.panes.store import PaneStore
from streams.partition import PartitionStage

BATCH = 20_000


# What an event can do without, and the fields that bring it.
FAMILIES = {
    "ten features": ("features",),
    "scores (log loss, Brier, calibration, auc)": ("scores",),
    "a segment (every figure once more)": ("segments",),
    "latency and cost": ("latency_ms", "cost"),
}
ROOMS = {
    "decode": (Decoder, ("decode_inference", "decode_labels")),
    "codes": (Coder, ("predictions", "labels")),
    "join": (HotJoin, ("add_predictions", "add_labels")),
    "panes": (PaneStore, ("add_predictions", "add_pairs")),
    "features": (FeatureStore, ("add",)),
}


def recorded(events, without=()):
    """Return alternating (kind, raw batch) of about ``events`` events, half of them labels.

    ``without`` are fields that no prediction carries.
    """
    batches = []
    for first in range(0, events // 2, BATCH):
        said = traffic.predictions(first, BATCH, features="features" not in without)
        for record in said:
            for field in {"scores", "segments", "latency_ms", "cost"} & set(without):
                record[field] = {} if field == "segments" else None
        truth = traffic.labels(first, BATCH)
        for kind, topic, records in (
            ("InferenceEvent", "inference-events", said),
            ("LabelEvent", "label-events", truth),
        ):
            values = traffic.encode(kind, records)
            times_ms = [record["timestamp"] for record in records]
            batches.append((kind, traffic.raw_batch(topic, first, values, times_ms)))
    return batches


def clock_rooms(spent):
    """Let every room add its processor time to ``spent``, in seconds."""
    for room, (kind, names) in ROOMS.items():
        for name in names:
            setattr(kind, name, clocked(getattr(kind, name), room, spent))


def clocked(method, room, spent):
    def run(*args):
        start = time.process_time()
        result = method(*args)
        spent[room] += time.process_time() - start
        return result

    return run


def run_core(batches):
    decoder, stage = Decoder(), PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    begin = time.process_time()
    for kind, raw in batches:
        if kind == "InferenceEvent":
            stage.apply_inference(decoder.decode_inference(raw))
        else:
            stage.apply_labels(decoder.decode_labels(raw))
    rows = stage.take_changed()
    stage.take_changed_features()
    elapsed = time.process_time() - begin
    hits = sum(n for n, s in zip(rows["hits"].to_pylist(), rows["segment"].to_pylist(), strict=True) if not s)
    return elapsed, hits


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
    batches = recorded(args.events)
    events = sum(len(raw) for _, raw in batches)
    sample = batches[: 2 * max(1, len(batches) // 20)]  # for what would take too long, or too much memory
    sampled = sum(len(raw) for _, raw in sample)
    lighter = {name: recorded(sampled, fields) for name, fields in FAMILIES.items()}
    lighter["all of these"] = recorded(sampled, [field for of in FAMILIES.values() for field in of])
    spent = defaultdict(float)
    clock_rooms(spent)
    run_core(batches[:2])  # compiles, or loads what was compiled
    taken_us, ratios, rooms_us = [], [], defaultdict(list)
    saved_us = {name: [] for name in lighter}
    for _ in range(args.runs):
        spent.clear()
        elapsed, hits = run_core(batches)
        taken_us.append(elapsed / events * 1e6)
        for room in ROOMS:
            rooms_us[room].append(spent[room] / events * 1e6)
        rooms_us["the rest"].append(taken_us[-1] - sum(spent.values()) / events * 1e6)
        plain, plain_hits = run_plain(sample)
        with_all, sampled_hits = run_core(sample)
        assert sampled_hits == plain_hits
        for name, without in lighter.items():
            saved_us[name].append((with_all - run_core(without)[0]) / sampled * 1e6)
        ratios.append(plain / sampled * 1e6 / taken_us[-1])
    median_us = statistics.median(taken_us)
    print(f"{events:,} events, {hits:,} right answers")
    print(
        f"core: {1e6 / median_us:,.0f} events/s with everything, {median_us:.2f} us (median of {args.runs})"
    )
    for room, costs in rooms_us.items():
        print(f"  {room:44s} {statistics.median(costs):5.2f} us an event")
    print(f"what each family costs, from decoding on (of {sampled:,} events: with it less without it):")
    for name, costs in saved_us.items():
        print(f"  {name:44s} {statistics.median(costs):5.2f} us")
    print(f"ratio to plain Python with fastavro and dicts: {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
