"""False alarms on `error` over late labels, and how soon a true change is found: 14 simulated days.

    python benchmarks/late_drift.py [--seeds 3] [--days 14] [--an-hour 2000] [--shapes NAME ...]

The labels are those of late_labels.py, in panes of a quarter of an hour, as rows of pane-updates to the
monitor: each hour it gets the panes whose counts have changed. First 10 % of answers are wrong throughout,
with a configured horizon and with one that is learnt; then 20 % are from the tenth day on, the rates being
constant or moving from hour to hour by 3 points of standard deviation. The delay is from the onset to the
detection, less the horizon. Labels that come once a week get 42 days.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from late_labels import CLASSES, ERROR, SHAPES, T0, Clock, simulated

from schemas.findings import Progress
from schemas.panes import PAIR_SEPARATOR, PANE_COLUMNS
from schemas.settings import DAY_MS, HOUR_MS, MonitorSettings
from streams.monitor import Monitor

WIDTH_MS = HOUR_MS // 4  # as finely as detectors look
ONSET_MS = T0 + 10 * DAY_MS
RISE = 0.10
HOURLY_SD = 0.03
OTHER = dict(zip(CLASSES, reversed(CLASSES), strict=True))
# Where a day is not enough: of every hour's labels 80 % at least must be there.
CONFIGURED_H = {
    "daily batch": 36,
    "errors at once, rest in daily batch": 48,
    "weekly batch": 192,
}


@dataclass
class Told:
    """What one run told."""

    early: int = 0  # drifts of `error` before any change
    other: int = 0  # drifts of other signals, at any time
    delay_h: float | None = None  # None: not found
    covered: bool = False
    horizon_h: float | None = None
    maturity: set[str] = field(default_factory=set)


def batch_of(panes, revision):
    """Return the rows of ``PANE_COLUMNS`` of panes as they stand."""
    sums = [pane.sums() for _, pane in panes]
    known = {
        "model": ["m"] * len(panes),
        "model_version": ["1"] * len(panes),
        "pane_start": [start for start, _ in panes],
        "revision": [revision] * len(panes),
        "strings": [pane.counts["predictions"] for pane in sums],
        "predicted": [list(pane.maps["predicted"].items()) for pane in sums],
        "confusion": [confusion(pane) for pane in sums],
    }
    for name in ("predictions", "labelled", "class_n", "hits"):
        known[name] = [pane.counts[name] for pane in sums]
    for name in ("age_hits", "age_misses"):
        known[name] = [list(pane.class_bins[name].items()) for pane in sums]
    columns = []
    for column in PANE_COLUMNS:
        values = known.get(column.name)
        if values is None:
            nested = pa.types.is_nested(column.type)
            values = [[] if nested else "" if pa.types.is_string(column.type) else 0] * len(panes)
        columns.append(pa.array(values, column.type))
    return pa.RecordBatch.from_arrays(columns, schema=PANE_COLUMNS)


def confusion(sums):
    pairs = [
        (f"{name if kind == 'age_hits' else OTHER[name]}{PAIR_SEPARATOR}{name}", int(bins.sum()))
        for kind in ("age_hits", "age_misses")
        for name, bins in sums.class_bins[kind].items()
    ]
    return [pair for pair in pairs if pair[1]]


def changes_by_hour(series, days):
    """Return for each hour the panes that it changes: by their answers or by labels."""
    hours = defaultdict(list)
    for start in series.starts:
        moments = [np.array([start + WIDTH_MS])]
        moments += [arrivals[np.isfinite(arrivals)] for arrivals in series.panes[start].arrivals.values()]
        for hour in np.unique(np.ceil((np.concatenate(moments) - T0) / HOUR_MS)):
            # What arrives while the pane is open is in its first row.
            hours[max(int(hour), -(-(start + WIDTH_MS - T0) // HOUR_MS))].append(start)
    return {hour: sorted(set(starts)) for hour, starts in hours.items() if hour <= days * 24}


def rates(rng, days, *, rise, overdispersed):
    hourly = ERROR + HOURLY_SD * overdispersed * rng.normal(size=days * 24)
    hourly[(ONSET_MS - T0) // HOUR_MS :] += RISE * rise
    return np.clip(hourly, 0.0, 1.0)


def run(shape, seed, days, an_hour, configured_ms, *, rise=False, overdispersed=False):
    rng, clock, told = np.random.default_rng(seed), Clock(), Told()
    hourly = rates(rng, days, rise=rise, overdispersed=overdispersed)
    series = simulated(
        rng,
        shape,
        days,
        an_hour,
        clock,
        error=lambda start: hourly[(start - T0) // HOUR_MS],
        width_ms=WIDTH_MS,
    )
    horizon = {"learn_horizon": True} if configured_ms is None else {"maturity_horizon_ms": configured_ms}
    monitor = Monitor(MonitorSettings(pane_width_ms=WIDTH_MS, **horizon))
    changes = changes_by_hour(series, days)
    for hour in range(1, days * 24 + 1):
        clock.now_ms = now_ms = T0 + hour * HOUR_MS
        panes = [(start, series.panes[start]) for start in changes.get(hour, ())]
        if panes:
            monitor.absorb(batch_of(panes, revision=hour))
        found = monitor.advance([Progress(0, 1, 1, now_ms, now_ms, True)])
        for state in found.states:
            told.maturity.add(state.maturity)
            if state.horizon_ms is not None:
                told.horizon_h = state.horizon_ms / HOUR_MS
        for drift in found.drifts:
            event_ms = drift.detected_at_ms - (told.horizon_h or 0) * HOUR_MS
            if drift.signal != "error":
                told.other += 1
            elif not rise or event_ms <= ONSET_MS:
                told.early += 1
            elif told.delay_h is None:
                told.delay_h = (event_ms - ONSET_MS) / HOUR_MS
                told.covered = drift.change_start_ms <= ONSET_MS <= drift.change_end_ms
    return told


def hours(values):
    """Return median and largest, those that were not found being infinitely late."""
    late = [float("inf") if value is None else value for value in values]
    return f"{np.median(late):.2f} ({max(late):.2f})"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--an-hour", type=int, default=2000)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), metavar="NAME")
    args = parser.parse_args()
    print("False alarms on `error` of all runs of a kind; hours beyond the horizon: median (largest).")
    print(
        "| labels | horizon | false alarms, configured | learnt horizon, median | false alarms, learnt "
        "| before a rise, constant | found | onset in interval "
        "| before a rise, overdispersed | found | onset in interval | drifts of other signals |"
    )
    print("|" + "---|" * 12, flush=True)
    for name in args.shapes:
        shape, configured_ms = SHAPES[name], CONFIGURED_H.get(name, 24) * HOUR_MS
        days = max(args.days, 42) if shape.batch_days == 7 else args.days
        seeds = range(args.seeds)
        still = [run(shape, seed, days, args.an_hour, configured_ms) for seed in seeds]
        auto = [run(shape, seed, days, args.an_hour, None) for seed in seeds]
        rises = [
            [
                run(shape, seed, days, args.an_hour, configured_ms, rise=True, overdispersed=noisy)
                for seed in seeds
            ]
            for noisy in (False, True)
        ]
        learnt = np.median([told.horizon_h or np.nan for told in auto])
        cells = [name, f"{configured_ms // HOUR_MS} h", sum(told.early for told in still)]
        cells += [f"{learnt:.0f} h", sum(told.early for told in auto)]
        for runs in rises:
            cells.append(sum(told.early for told in runs))
            cells.append(hours([told.delay_h for told in runs]))
            cells.append(f"{sum(told.covered for told in runs)} of {len(runs)}")
        cells.append(sum(told.other for runs in (still, auto, *rises) for told in runs))
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
        odd = set().union(*(told.maturity for told in still)) - {"ready"}
        if odd:
            print(f"configured, constant, also: {sorted(odd)}")


if __name__ == "__main__":
    main()
