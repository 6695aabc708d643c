"""What the cold join costs: lookups of labels and repeats, panes read and computed, and if that keeps up.

    python benchmarks/cold_join.py [--predictions 600000] [--panes 2] [--others 4000000] [--quick]

One model makes 10,000 predictions a second, so 600,000 to a pane of a minute, with ten features, and every
label comes 12 h later, so that every pane is joined cold, some of them more than once. ``others`` are ids of
other times, among which those of the labels are looked for, and as many labels. All of it is in ClickHouse's
engine behind HTTP, on the same machine; time is that of the clock, and CPU that of both processes. With fewer
predictions to a pane what is needed shrinks in proportion.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow as pa
import traffic

from schemas.findings import Progress
from schemas.settings import MonitorSettings
from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.writers import Writer
from sinks.cold import ColdSettings, Reached
from sinks.cold.store import ColdStore
from streams.cold import join_cold
from streams.decode import Decoder

WIDTH_MS = 60_000
HOUR_MS = 3_600_000
BATCH = 20_000
START_MS = int(time.time()) // 60 * 60_000 - 24 * HOUR_MS
# Labels of a pane that come within a quarter of an hour fall into two of the intervals of 10 minutes in which
# panes half a day old are gathered.
JOINS_OF_A_PANE = 2


class Meter:
    """Seconds of the clock, and of CPU in this process and in ClickHouse's, whenever it was entered."""

    def __init__(self, server):
        self._server = psutil.Process(server.pid)
        self.wall_s = self.own_s = self.server_s = 0.0

    def __enter__(self):
        self._begin = time.perf_counter(), time.process_time(), self._busy()
        return self

    def __exit__(self, *_):
        now = time.perf_counter(), time.process_time(), self._busy()
        wall_s, own_s, server_s = (b - a for a, b in zip(self._begin, now, strict=True))
        self.wall_s += wall_s
        self.own_s += own_s
        self.server_s += server_s

    def _busy(self):
        times = self._server.cpu_times()
        return times.user + times.system


def metered(pieces, meter):
    """Yield pieces and count what reading them takes."""
    while True:
        with meter:
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece
        del piece


def fill(writer, client, panes, predictions, others):
    decoder = Decoder()
    rate = predictions / WIDTH_MS
    for first in range(0, panes * predictions, BATCH):
        count = min(BATCH, panes * predictions - first)
        for kind, records in (
            ("inference", traffic.predictions(first, count, rate, start_ms=START_MS)),
            ("labels", traffic.labels(first, count, rate, start_ms=START_MS)),
        ):
            late_ms = 0 if kind == "inference" else 12 * HOUR_MS
            times = [record["timestamp"] + late_ms for record in records]
            name = "InferenceEvent" if kind == "inference" else "LabelEvent"
            raw = traffic.raw_batch(kind, first, traffic.encode(name, records), times)
            if kind == "inference":
                writer.write_predictions(decoder.decode_inference(raw).columns, "inference-events", 0)
            else:
                writer.write_labels(decoder.decode_labels(raw).columns, "label-events", 0)
    # Random ids, which is the worst case: those that grow with time lie together.
    moment = f"toDateTime64({START_MS / 1000 - 3600}, 3, 'UTC')"
    for first in range(0, others, 1_000_000):
        count = min(1_000_000, others - first)
        client.command(
            "INSERT INTO aftcast.prediction_ids SELECT rand64(), 'fraud', "  # noqa: S608
            f"{moment} - number % 40000, 0 FROM numbers({count})"
        )
        client.command(
            "INSERT INTO aftcast.labels "  # noqa: S608
            "(prediction_id, model, label, label_kind, timestamp, partition, offset, received_at) "
            f"SELECT toString(generateUUIDv4()), '', 'fine', 'string', {moment}, 1, "
            f"number + {first}, {moment} FROM numbers({count})"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--predictions", type=int, default=600_000, help="of a pane")
    parser.add_argument("--panes", type=int, default=2)
    parser.add_argument("--others", type=int, default=4_000_000)
    parser.add_argument("--at-once", type=int, default=ColdSettings().rows_at_once, help="read as one piece")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.predictions, args.others = 40_000, 200_000
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "sinks.clickhouse.http_server",
            str(Path(folder) / "ch"),
            "--port",
            "0",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                measure(server, args)
            finally:
                server.terminate()


def measure(server, args):
    client = connect(server.stdout.readline().strip())
    migrate(client, "aftcast")
    total = args.panes * args.predictions
    with Meter(server) as filling:
        fill(Writer(client), client, args.panes, args.predictions, args.others)
    print(f"{total:,} predictions and labels, {args.others:,} others of each, in {filling.wall_s:.0f} s")
    store = ColdStore(client, "aftcast", "inference-events", WIDTH_MS)
    floor_ms = START_MS + 11 * HOUR_MS
    progress = Progress(0, 1, 1, floor_ms, floor_ms, True, floor_ms, total, total, total)
    reached = Reached((progress,), (total, 0), (total, args.others))
    with Meter(server) as looking:
        panes = store.panes_of_labels(0, 0, total, floor_ms)
        store.keep_open(0, 0, total, floor_ms)
    assert len(panes) == args.panes
    with Meter(server) as sweeping:
        assert not store.repeats(START_MS, START_MS + args.panes * WIDTH_MS, reached)
    settings = MonitorSettings(pane_width_ms=WIDTH_MS)
    raw = store.read("fraud", [panes[0][1]], reached, 1_000)
    some, counted = [next(raw.pieces)], (raw.counted, raw.counted_features)
    join_cold(some, *counted, monitor=settings, as_of_ms=0, bound=0)  # compiles, or loads what was compiled
    del some
    reading, both = Meter(server), Meter(server)
    for _, start in panes:
        with both:
            with reading:
                raw = store.read("fraud", [start], reached, args.at_once)
            pieces, counted = metered(raw.pieces, reading), (raw.counted, raw.counted_features)
            found = join_cold(pieces, *counted, monitor=settings, as_of_ms=floor_ms, bound=2 * total)
        whole = found.panes.select(["segment", "labelled"]).to_pylist()
        assert sum(row["labelled"] for row in whole if not row["segment"]) == args.predictions
    computing = Meter(server)
    for name in ("wall_s", "own_s", "server_s"):
        setattr(computing, name, getattr(both, name) - getattr(reading, name))
    needed_s = WIDTH_MS / 1000 * args.predictions / 600_000
    spent_s = cpu_s = 0.0
    for name, meter, times in (
        ("labels looked up", looking, 1),
        ("repeats looked for", sweeping, 1),
        ("raw rows read", reading, JOINS_OF_A_PANE),
        ("panes computed", computing, JOINS_OF_A_PANE),
    ):
        print(
            f"  {name:18s} {meter.wall_s / args.panes:6.2f} s a pane, "
            f"CPU {meter.own_s / args.panes:.2f} s here and {meter.server_s / args.panes:.2f} s in ClickHouse"
        )
        spent_s += times * meter.wall_s / args.panes
        cpu_s += times * (meter.own_s + meter.server_s) / args.panes
    print(f"  {pa.default_memory_pool().max_memory() / 1e6:,.0f} MB of Arrow's memory at most")
    print(
        f"a pane of {args.predictions:,}, joined {JOINS_OF_A_PANE} times: {spent_s:.1f} s of the "
        f"{needed_s:.1f} s that it may take: {needed_s / spent_s:.1f} times what is needed; "
        f"{cpu_s:.1f} s of CPU, {needed_s / cpu_s:.1f} times less than one core has"
    )


if __name__ == "__main__":
    main()
