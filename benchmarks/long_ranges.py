"""What a month of model_quality costs, from hours that are added up and from panes, and what adding up costs.

    python benchmarks/long_ranges.py [--days 30] [--models 20] [--partitions 1] [--runs 3] [--quick]

Panes of a minute with about 300 predictions, 80 % of them labelled, of models of four kinds: two classes with
scores, clicks, five classes with scores, numbers. All columns of all windows of an hour are asked for, by
ClickHouse's engine behind HTTP on the same machine. Both ways answer in one run, and must agree to the last
digit. Times are the engine's CPU, and the clock.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from schemas.panes import CLASS_BINS, COUNTS, HISTOGRAMS, MAPS, PANE_COLUMNS, SUMS, duration_bin
from sinks.clickhouse.client import connect
from sinks.clickhouse.hours import HourBuilder
from sinks.clickhouse.migrate import migrate

TEMPLATES = 100  # panes of each kind, drawn again and again
ANSWER_S = 600  # from panes, on a busy machine
LATE_DAY = 24  # hours whose labels still come in
QUERY = "SELECT * FROM aftcast.model_quality(window_seconds = 3600) ORDER BY model, window_start"
START = "toStartOfDay(now('UTC') - toIntervalDay({days}))"


def bins_of(values, floor):
    return np.bincount([duration_bin(float(v), floor) for v in values]).tolist()


def score_bins(scores):
    place = np.log(scores) - np.log1p(-scores)
    inside = np.clip(place, -10, 10)
    place = 106 + 8 * inside + (place - inside) + 160 * scores
    dense = np.zeros(746, np.int64)
    index = place.astype(int)
    np.add.at(dense, 2 * index, 2**20)
    np.add.at(dense, 2 * index + 1, (place % 1 * 16).astype(int) * 2**20)
    return dense.tolist()


def template(kind, rng):
    """Return what one pane adds up to, its keys left out."""
    n = int(rng.lognormal(np.log(300), 0.5)) + 10
    labelled = int(0.8 * n)
    row = dict.fromkeys(COUNTS, 0) | dict.fromkeys(SUMS, 0.0)
    row |= {name: [] for name in (*MAPS, *HISTOGRAMS, *CLASS_BINS, "examples")}
    row |= {"predictions": n, "labelled": labelled, "cost_n": n, "cost_sum": 0.001 * n}
    row["latency"] = bins_of(rng.lognormal(3, 0.5, n), 0.01)
    row["delay"] = bins_of(1000 * rng.exponential(3600, labelled), 1.0)
    if kind == "numbers":
        truth = rng.normal(100, 10, labelled)
        error = rng.normal(0, 1, labelled)
        row |= {"doubles": n, "reg_n": labelled, "ape_n": labelled}
        row |= {"err_sum": error.sum(), "abs_err_sum": abs(error).sum(), "sq_err_sum": (error**2).sum()}
        row |= {"label_sum": truth.sum(), "label_m2": ((truth - truth.mean()) ** 2).sum()}
        row["ape_sum"] = abs(error / truth).sum()
        return row
    if kind == "five":
        names = list("abcde")
        odds = np.exp(rng.normal(0, 1.5, (labelled, 5)))
        chances = odds / odds.sum(1, keepdims=True)
        truth = (chances.cumsum(1) > rng.random(labelled)[:, None]).argmax(1)
        said, kept = chances.argmax(1), chances
    else:
        names = ["0", "1"]
        middle, spread = (-1, 1.2) if kind == "two" else (-5.5, 0.8)
        p = 1 / (1 + np.exp(-rng.normal(middle, spread, labelled)))
        truth, said, kept = (rng.random(labelled) < p) * 1, (p > 0.4) * 1, p[:, None]
    pairs, counts = np.unique(np.stack([truth, said]), axis=1, return_counts=True)
    row["confusion"] = [
        (f"{names[a]}\x1f{names[b]}", int(c)) for (a, b), c in zip(pairs.T, counts, strict=True)
    ]
    row["predicted"] = [(names[i], int(c)) for i, c in zip(*np.unique(said, return_counts=True), strict=True)]
    row |= {"strings": n, "scored": n, "class_n": labelled, "score_n": labelled}
    row["hits"] = int((truth == said).sum())
    row |= {"log_loss_sum": float(labelled) * 0.5, "brier_sum": float(labelled) * 0.2}
    top = kept.max(1)
    tenth = np.minimum((top * 10).astype(int), 9)
    for name, weights in (("n", None), ("hits", (truth == said) * 1.0), ("p", top)):
        row[f"calibration_{name}"] = (np.bincount(tenth, weights, 10) * 2**32).astype(np.int64).tolist()
    sure = np.rint(2 * np.clip(np.log(top) - np.log1p(-top), -8, 8)).astype(int) + 16
    row["confidence_all"] = np.bincount(sure, minlength=33).tolist()
    told = names if kind == "five" else ["1"]
    for i, name in enumerate(told):
        is_class = truth == (i if kind == "five" else 1)
        row["score_positives"].append((name, score_bins(kept[is_class, i])))
        row["score_negatives"].append((name, score_bins(kept[~is_class, i])))
    row["age_hits"] = [(names[0], np.bincount(rng.integers(0, 60, labelled)).tolist())]
    return row


def fill(client, args):
    rng = np.random.default_rng(3)
    kinds = ["two", "clicks", "two", "five", "numbers"]
    columns = [field for field in PANE_COLUMNS if field.name not in PANE_COLUMNS.names[:6]]
    rows = [template(kind, rng) for kind in kinds for _ in range(TEMPLATES)]
    names = ", ".join(field.name for field in columns)
    client.command(
        f"CREATE TABLE aftcast.templates ENGINE = MergeTree ORDER BY id AS "  # noqa: S608
        f"SELECT toUInt32(0) AS id, {names} FROM aftcast.rollups WHERE false"
    )
    schema = pa.schema([pa.field("id", pa.uint32()), *columns])
    rows = [row | {"id": i} for i, row in enumerate(rows)]
    client.insert("aftcast.templates", pa.Table.from_pylist(rows, schema))
    per_day = args.models * args.partitions * 1440
    start = START.format(days=args.days)
    for day in range(args.days):
        client.command(
            "INSERT INTO aftcast.rollups "  # noqa: S608
            f"(model, model_version, segment, pane_start, partition, revision, {names}) "
            f"SELECT concat('model', toString(m)), '1', '', {start} + {day} * 86400 + 60 * pane, "
            f"part, 1, {names} FROM (SELECT number % {args.partitions} AS part, "
            f"intDiv(number, {args.partitions}) % {args.models} AS m, "
            f"intDiv(number, {args.partitions * args.models}) AS pane, "
            f"toUInt32(m % {len(kinds)} * {TEMPLATES} + cityHash64(number, {day}) % {TEMPLATES}) AS id "
            f"FROM numbers({per_day})) AS g INNER JOIN aftcast.templates AS t ON t.id = g.id "
            "SETTINGS max_insert_threads = 1, max_block_size = 8192, min_insert_block_size_rows = 100000"
        )
    client.command(
        "INSERT INTO aftcast.model_states (model, model_version, task, mature_until, as_of, maturity) "
        "SELECT model, '1', multiIf(sum(reg_n) > 0, 'regression', 'binary'), now64(3) - toIntervalDay(1), "
        "now64(3), 'ready' FROM aftcast.rollups GROUP BY model"
    )


def set_hours(client, *, built):
    """Date touches and builds back by an hour, as if it had passed."""
    rows = client.rows("SELECT max(built_at) AS at FROM aftcast.hours")
    assert (rows[0]["at"].year > 1970) == built
    client.command("CREATE TABLE aftcast.before AS aftcast.hours")
    client.command("INSERT INTO aftcast.before SELECT * FROM aftcast.hours")
    client.command("TRUNCATE TABLE aftcast.hours")
    client.command(
        "INSERT INTO aftcast.hours SELECT model, hour_start, max(touched_at) - 3600, "
        "if(max(built_at) > '2000-01-01', max(built_at) - 3600, max(built_at)) "
        "FROM aftcast.before GROUP BY model, hour_start"
    )
    client.command("DROP TABLE aftcast.before")


class Meter:
    """Seconds of the clock and of the engine's CPU."""

    def __init__(self, server):
        self._server = psutil.Process(server.pid)

    def of(self, work):
        begin, busy = time.perf_counter(), self._busy()
        result = work()
        return time.perf_counter() - begin, self._busy() - busy, result

    def _busy(self):
        times = self._server.cpu_times()
        return times.user + times.system


def ask(meter, client, name, runs):
    found = [meter.of(lambda: client.arrow(QUERY)) for _ in range(runs)]
    walls, cpus = ([run[i] for run in found] for i in (0, 1))
    print(
        f"  {name:44s} {statistics.median(walls):6.2f} s (first {walls[0]:.2f}), "
        f"CPU {statistics.median(cpus):6.2f} s, {found[-1][2].num_rows:,} windows",
        flush=True,
    )
    return found[-1][2], statistics.median(walls)


def measure(server, args):
    client = connect(server.stdout.readline().strip(), answer_within_s=ANSWER_S)
    migrate(client, "aftcast")
    meter = Meter(server)
    wall_s, _, _ = meter.of(lambda: fill(client, args))
    size = client.rows(
        "SELECT table, sum(rows) AS n, sum(bytes_on_disk) AS size FROM system.parts "
        "WHERE active AND database = 'aftcast' AND table = 'rollups' GROUP BY table"
    )[0]
    print(f"{size['n']:,} panes, {size['size'] / size['n']:.0f} bytes each, in {wall_s:.0f} s", flush=True)
    set_hours(client, built=False)
    panes, without_s = ask(meter, client, "from panes", args.runs)
    builder = HourBuilder(client, "aftcast")
    wall_s, cpu_s, built = meter.of(lambda: sum(iter(builder.build, 0)))
    print(f"  {built:,} hours of models added up in {wall_s:.0f} s, CPU {1000 * cpu_s / built:.1f} ms each")
    set_hours(client, built=True)
    hours, with_s = ask(meter, client, "from hours", args.runs)
    assert hours.equals(panes), "hours and panes differ"
    # Labels of a day still come in.
    client.command(
        "INSERT INTO aftcast.hours (model, hour_start, touched_at) "  # noqa: S608
        "SELECT model, hour_start, now64(3) FROM aftcast.hours WHERE hour_start >= "
        f"(SELECT max(hour_start) FROM aftcast.hours) - {3600 * LATE_DAY - 3600} "
        "GROUP BY model, hour_start"
    )
    late, late_s = ask(meter, client, f"from hours, the last {LATE_DAY} from panes", args.runs)
    assert late.equals(panes), "hours and panes differ"
    print(
        f"{args.days} days of {args.models} models: {with_s:.2f} s in place of {without_s:.2f} s, "
        f"{without_s / with_s:.1f} times as fast; {without_s / late_s:.1f} times while labels of a day come"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.days, args.models, args.partitions, args.runs = 2, 5, 1, 1
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "ch")
        command = [sys.executable, "-m", "sinks.clickhouse.http_server", path, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                measure(server, args)
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
