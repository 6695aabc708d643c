"""Resident memory per million waiting predictions, against a dict of tuples.

python benchmarks/waiting_memory.py [--predictions 1000000]
"""

import argparse
import gc
import subprocess
import sys

import psutil
import traffic

from schemas.settings import JoinSettings, MonitorSettings
from streams.decode import Decoder
from streams.partition import PartitionStage

BATCH = 20_000


def resident():
    gc.collect()
    return psutil.Process().memory_info().rss


def encoded(first):
    records = traffic.predictions(first, BATCH)
    times_ms = [record["timestamp"] for record in records]
    return traffic.raw_batch("inference-events", first, traffic.encode("InferenceEvent", records), times_ms)


def measure(kind, count):
    """Print the growth of resident memory over ``count`` predictions that wait for their labels."""
    decoder, stage = Decoder(), PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    stage.apply_inference(decoder.decode_inference(encoded(10**9)))  # everything is loaded and compiled
    waiting = {}
    before = resident()
    for first in range(0, count, BATCH):
        raw = encoded(first)
        if kind == "aftcast":
            stage.apply_inference(decoder.decode_inference(raw))
        else:
            for record in traffic.predictions(first, BATCH):
                waiting[record["prediction_id"]] = (
                    record["timestamp"], record["model"], record["model_version"],
                    record["prediction"], record["scores"]["fraud"], record["segments"]["country"],
                )  # fmt: skip
        del raw
    print(resident() - before)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--measure", choices=["aftcast", "dict"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.measure, args.predictions)
        return
    megabytes = {}
    for kind in ("aftcast", "dict"):  # a process each, so that neither sees the other's memory
        command = [sys.executable, __file__, "--measure", kind, "--predictions", str(args.predictions)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        megabytes[kind] = int(out) / args.predictions
    print(f"aftcast: {megabytes['aftcast']:.1f} MB per million waiting predictions")
    print(f"dict of tuples: {megabytes['dict']:.1f} MB; ratio {megabytes['dict'] / megabytes['aftcast']:.1f}")


if __name__ == "__main__":
    main()
