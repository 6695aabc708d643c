"""What late labels do to figures, and what the nowcast makes of it: 14 simulated days per shape and seed.

    python benchmarks/late_labels.py [--seeds 5] [--days 14] [--an-hour 2000] [--shapes NAME ...]

A constant 10 % of answers are wrong. Labels come as each shape says. At the end of
each hour its figure is taken: as it stands, and the nowcast, both against what the hour shows in the end.
Horizon and curves are learnt on the way, as by the worker; no event is made, panes are counted by numpy.
"""

import argparse
from dataclasses import dataclass, field

import numpy as np

from schemas.panes import AGE_FLOOR_MS, PaneSums
from schemas.settings import DAY_MS, HOUR_MS, MonitorSettings
from streams.monitor.maintenance import Maintenance
from streams.monitor.maturing import ModelMaturity
from streams.monitor.store import Series
from streams.nowcast import nowcast

T0 = 1_767_571_200_000  # 2026-01-05, a Monday
WIDTH_MS = 300_000
ERROR = 0.10
CLASSES = ("no", "yes")
YES = 0.3  # share of predictions
NEVER_MS = np.inf


@dataclass(frozen=True)
class Shape:
    """How labels come: delays of wrong and of right answers in hours, then the batch that delivers them."""

    wrong: tuple[str, float, float]
    right: tuple[str, float, float]
    batch_days: int = 0  # 1: every day at 03:00, 7: Mondays at 03:00
    never: float = 0.0
    target: float = 0.012


SHAPES = {
    "errors fast": Shape(("exponential", 1, 0), ("exponential", 12, 0)),
    "errors slow": Shape(("exponential", 12, 0), ("exponential", 1, 0), target=0.025),
    "lognormal": Shape(("lognormal", 1, 1), ("lognormal", 6, 1)),
    "30 % never": Shape(("exponential", 1, 0), ("exponential", 12, 0), never=0.3),
    "daily batch": Shape(("exponential", 1, 0), ("exponential", 1, 0), batch_days=1),
    "errors at once, rest in daily batch": Shape(("exponential", 1, 0), ("exponential", 6, 0), batch_days=-1),
    "weekly batch": Shape(("exponential", 1, 0), ("exponential", 1, 0), batch_days=7),
}


def delays_ms(rng, kind, n):
    name, hours, sigma = kind
    if name == "exponential":
        return rng.exponential(hours * HOUR_MS, n)
    return rng.lognormal(np.log(hours * HOUR_MS), sigma, n)


class SimulatedPane:
    """One pane: when its labels come, and what it adds up to as time goes on."""

    merged = None

    def __init__(self, clock, sizes, ages, arrivals):
        self._clock, self._sizes, self._ages, self.arrivals = clock, sizes, ages, arrivals

    def sums(self):
        sums = PaneSums()
        n = sum(self._sizes.values())
        sums.counts["predictions"] = n
        sums.maps["predicted"] = {name: size for name, size in self._sizes.items() if size}
        for (name, hit), ages in self._ages.items():
            here = ages[self.arrivals[name, hit] <= self._clock.now_ms]
            if len(here):
                sums.class_bins["age_hits" if hit else "age_misses"][name] = np.bincount(bins_of(here))
                sums.counts["labelled"] += len(here)
                sums.counts["class_n"] += len(here)
                sums.counts["hits"] += len(here) if hit else 0
        return sums

    def in_the_end(self):
        came = {key: int(np.isfinite(arrivals).sum()) for key, arrivals in self.arrivals.items()}
        return sum(n for (_, hit), n in came.items() if hit), sum(came.values())


def bins_of(ages_ms):
    """As ``schemas.panes.age_bin``, of many."""
    return np.maximum(np.ceil(4 * np.log2(np.maximum(ages_ms, 1) / AGE_FLOOR_MS) - 1e-9), 0).astype(int)


@dataclass
class Clock:
    now_ms: float = T0


def simulated(rng, shape, days, an_hour, clock, swing=0.0, error=lambda _: ERROR, width_ms=WIDTH_MS):
    """Return a series of panes whose labels come as the clock goes."""
    series = Series(width_ms, first_ms=T0)
    for start in range(T0, T0 + days * DAY_MS, width_ms):
        daytime = 1 + swing * np.sin(2 * np.pi * ((start - T0) % DAY_MS) / DAY_MS)
        sizes, ages, arrivals = {}, {}, {}
        for name, share in zip(CLASSES, (1 - YES, YES), strict=True):
            n = rng.poisson(an_hour * width_ms / HOUR_MS * daytime * share)
            times = start + rng.random(n) * width_ms
            wrong = rng.random(n) < error(start)
            delays = np.where(wrong, delays_ms(rng, shape.wrong, n), delays_ms(rng, shape.right, n))
            arrival = delivered(times + delays, wrong, shape.batch_days)
            arrival[rng.random(n) < shape.never] = NEVER_MS
            sizes[name] = n
            for hit in (True, False):
                mine = wrong != hit
                arrivals[name, hit] = arrival[mine]
                ages[name, hit] = arrival[mine] - times[mine]
        series.panes[start] = SimulatedPane(clock, sizes, ages, arrivals)
        series.starts.append(start)
    series.last_ms = series.starts[-1]
    return series


def delivered(known_ms, wrong, batch_days):
    if not batch_days:
        return known_ms.copy()
    step, first = abs(batch_days) * DAY_MS, T0 + 3 * HOUR_MS
    batched = first + np.ceil((known_ms - first) / step) * step
    return np.where(wrong, known_ms, batched) if batch_days < 0 else batched


@dataclass
class Found:
    """What one run found, an entry for each hour with a nowcast."""

    plain: list[float] = field(default_factory=list)  # errors of the plain figure
    nowcasts: list[float] = field(default_factory=list)  # errors of the nowcast
    covered: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    horizon_h: float | None = None
    learnt_after_h: float | None = None
    states: dict[str, int] = field(default_factory=dict)
    alerts: list = field(default_factory=list)
    skipped: int = 0


def run(shape, seed, days, an_hour, swing=0.0, configured_ms=None):
    rng, clock, found = np.random.default_rng(seed), Clock(), Found()
    series = simulated(rng, shape, days, an_hour, clock, swing)
    maturity = ModelMaturity("m", configured_ms, MonitorSettings(pane_width_ms=WIDTH_MS))
    whole = series.starts
    for now_ms in range(T0 + HOUR_MS, T0 + days * DAY_MS + 1, HOUR_MS):
        clock.now_ms = now_ms
        series.starts = [start for start in whole if start < now_ms]
        series.changed = set(series.starts)
        standing, learnt = maturity.advance({"1": series}, now_ms, 0, Maintenance())
        found.states[standing.maturity] = found.states.get(standing.maturity, 0) + 1
        found.alerts += learnt.alerts
        found.skipped = len(standing.skipped)
        if standing.horizon_ms is None:
            found.learnt_after_h = None
            continue
        found.horizon_h = standing.horizon_ms / HOUR_MS
        if found.learnt_after_h is None:
            found.learnt_after_h = (now_ms - T0) / HOUR_MS
        panes = [series.panes[start] for start in series.between(now_ms - HOUR_MS, now_ms)]
        rows = list(
            zip(series.between(now_ms - HOUR_MS, now_ms), [pane.sums() for pane in panes], strict=True)
        )
        told = nowcast(
            rows,
            maturity.curves(),
            "binary",
            width_ms=WIDTH_MS,
            now_ms=now_ms,
            labels_late=standing.maturity == "labels_late",
        )
        truth = [pane.in_the_end() for pane in panes]
        accuracy = sum(hits for hits, _ in truth) / sum(n for _, n in truth)
        labelled = sum(row.counts["class_n"] for _, row in rows)
        if told.accuracy is None:
            found.reasons[told.reason] = found.reasons.get(told.reason, 0) + 1
            continue
        found.plain.append(sum(row.counts["hits"] for _, row in rows) / labelled - accuracy)
        found.nowcasts.append(told.accuracy - accuracy)
        found.covered.append(told.low <= accuracy <= told.high)
        found.widths.append(told.high - told.low)
    return found


def rms(errors):
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else float("nan")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--an-hour", type=int, default=2000)
    parser.add_argument("--swing", type=float, default=0.0, help="of traffic by day and night, 0 to 1")
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), metavar="NAME")
    args = parser.parse_args()
    print(
        f"{'labels':<36} {'plain rms':>9} {'nowcast':>8} {'target':>7} {'covered':>8} {'width':>6} "
        f"{'hours':>6} {'none':>5} {'horizon':>8} {'learnt':>7}"
    )
    for name in args.shapes:
        shape = SHAPES[name]
        days = max(args.days, 42) if shape.batch_days == 7 else args.days
        runs = [run(shape, seed, days, args.an_hour, args.swing) for seed in range(args.seeds)]
        nowcasts = [error for found in runs for error in found.nowcasts]
        covered = [held for found in runs for held in found.covered]
        widths = [width for found in runs for width in found.widths]
        horizons = [found.horizon_h or float("nan") for found in runs]
        after = [found.learnt_after_h or float("nan") for found in runs]
        print(
            f"{name:<36} {rms([e for f in runs for e in f.plain]):9.3f} {rms(nowcasts):8.4f} "
            f"{shape.target:7.3f} {np.mean(covered) if covered else float('nan'):8.1%} "
            f"{np.mean(widths) if widths else float('nan'):6.3f} {len(nowcasts):6d} "
            f"{sum(sum(f.reasons.values()) for f in runs):5d} {np.median(horizons):6.1f} h "
            f"{np.median(after):5.0f} h"
        )
        for what in ("reasons", "states"):
            total = {}
            for found in runs:
                for key, n in getattr(found, what).items():
                    total[key] = total.get(key, 0) + n
            print(f"    {what}: {total}")
        kinds = [f"{alert.kind} {alert.status}" for found in runs for alert in found.alerts]
        if kinds:
            print(f"    alerts: { {kind: kinds.count(kind) for kind in sorted(set(kinds))} }")


if __name__ == "__main__":
    main()
