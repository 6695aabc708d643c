"""Size and time of a monitor's snapshot, and of a position with its cuts, for many models over days of panes.

python benchmarks/journal_snapshots.py [--models 20] [--days 14]
"""

import argparse
import time
import zlib

import msgspec
import numpy as np
import pyarrow as pa

from schemas.findings import Progress
from schemas.panes import PANE_COLUMNS
from schemas.settings import DAY_MS, HOUR_MS, MonitorSettings, RuleSettings
from streams.monitor import Follower, Loading
from streams.worker.journal import Packing, digest_of

MINUTE_MS, BEGIN_MS = 60_000, 1_800_000_000_000 // HOUR_MS * HOUR_MS
RULES = (RuleSettings("accuracy-low", "accuracy", below=0.8),)
N = 60  # predictions a minute and model


def hour(rng, start_ms, model):
    """Return an hour of mature panes with latencies, scores and ages, as stage 1 sends them."""
    counted = pa.array([N] * 60)
    ages = [[("ok", rng.integers(0, 4, 60).tolist())] for _ in range(60)]
    known = {
        "pane_start": pa.array(start_ms + np.arange(60) * MINUTE_MS),
        "model": pa.array([model] * 60),
        "hits": pa.array(N - rng.binomial(N, 0.1, 60)),
        "age_hits": pa.array(ages, PANE_COLUMNS.field("age_hits").type),
        "latency": pa.array([rng.integers(0, 4, 100).tolist() for _ in range(60)]),
        "confidence_all": pa.array([rng.integers(0, 4, 100).tolist() for _ in range(60)]),
        "predicted": pa.array([[("ok", N)]] * 60, PANE_COLUMNS.field("predicted").type),
        "examples": pa.array([[f"p{i}" for i in rng.integers(0, 10**9, 5)] for _ in range(60)]),
    }
    known |= dict.fromkeys(("predictions", "strings", "labelled", "class_n"), counted)
    columns = []
    for column in PANE_COLUMNS:
        kind = column.type
        empty = [] if pa.types.is_map(kind) or pa.types.is_list(kind) else 0
        rest = pa.array(["" if pa.types.is_string(kind) else empty] * 60, kind)
        columns.append(known.get(column.name, rest).cast(kind))
    return pa.RecordBatch.from_arrays(columns, schema=PANE_COLUMNS)


def measure(follower, day):
    packing, raw, longest_s, begin_s = Packing(), 0, 0.0, time.perf_counter()
    steps = follower.snapshot()
    while True:
        step_s = time.process_time()
        piece = next(steps, None)
        if piece is None:
            break
        packing.add(piece)
        raw += len(piece)
        longest_s = max(longest_s, time.process_time() - step_s)
    parts = packing.parts()
    taken_s = time.perf_counter() - begin_s
    position = follower.position()
    follower.snapshot_taken(len(parts), digest_of(parts))
    loading = Loading(zlib.decompress(b"".join(parts)), follower.monitor.settings)
    begin_s, read_longest_s, step_s = time.perf_counter(), 0.0, time.process_time()
    for _ in loading.steps():
        read_longest_s = max(read_longest_s, time.process_time() - step_s)
        step_s = time.process_time()
    read_s = time.perf_counter() - begin_s
    print(
        f"day {day}: {raw / 1e6:.1f} MB, {sum(map(len, parts)) / 1e6:.1f} MB packed in {len(parts)} records; "
        f"taken in {taken_s:.2f} s (longest step {1000 * longest_s:.0f} ms of CPU), "
        f"read in {read_s:.2f} s (longest step {1000 * read_longest_s:.0f} ms of CPU); "
        f"position with {len(position.cuts)} cuts {len(msgspec.json.encode(position)) / 1e3:.1f} kB",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--days", type=int, default=14)
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    follower = Follower(MonitorSettings(rules=RULES), 0)
    for at in range(args.days * 24):
        start_ms = BEGIN_MS + at * HOUR_MS
        for number in range(args.models):
            follower.monitor.absorb(hour(rng, start_ms, f"model-{number}"))
        end_ms = start_ms + HOUR_MS
        progress = msgspec.json.encode(Progress(0, 1, 1, end_ms, end_ms, True))
        follower.take(at, b"progress", progress)
        for _ in follower.cut():
            pass
        day = (end_ms - BEGIN_MS) / DAY_MS
        if day in (1, 3, 7, args.days):
            measure(follower, round(day))


if __name__ == "__main__":
    main()
