"""Resident memory per million waiting predictions, against a dict of tuples.

python benchmarks/waiting_memory.py [--predictions 1000000]
"""

import argparse
import ctypes
import gc
import multiprocessing
import subprocess
import sys

import psutil
import pyarrow as pa
import traffic

from schemas.settings import JoinSettings, MonitorSettings
from streams.decode import Decoder
from streams.partition import PartitionStage

BATCH = 20_000


def resident():
    """Return resident memory without what allocators keep from batches that are gone."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss


def encoded(first):
    records = traffic.predictions(first, BATCH)
    return traffic.encode("InferenceEvent", records), [record["timestamp"] for record in records]


def remembered(first):
    return [
        (
            record["prediction_id"], record["timestamp"], record["model"], record["model_version"],
            record["prediction"], record["scores"]["fraud"], record["segments"]["country"],
        )
        for record in traffic.predictions(first, BATCH)
    ]  # fmt: skip


def measure(kind, count):
    """Print how much resident memory grows while as many predictions again come to wait."""
    decoder, stage = Decoder(), PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    waiting, at = {}, 0
    # From one million to two: buffers that do not grow with what waits are not counted. Traffic is made in
    # another process, so that its objects are not counted either.
    firsts = range(0, 2 * count, BATCH)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for first in firsts:
            made = pool.apply(encoded if kind == "aftcast" else remembered, (first,))
            if first == count:
                at = resident()
            if kind == "aftcast":
                raw = traffic.raw_batch("inference-events", first, *made)
                stage.apply_inference(decoder.decode_inference(raw))
                del raw
            else:
                waiting |= {record[0]: record[1:] for record in made}
            del made
    print(resident() - at)


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
