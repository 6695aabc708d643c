"""False alarms of a whole model without any change, and how soon a true change is found.

    python benchmarks/false_alarms.py [--months 300] [--runs 40] [--first-seed 1000]

A simulated model has 10 features and 5 segments: error and feature signals of all traffic and of each
segment, 66 in all. A month is its first 44 days, the 14 of the warm-up and 30 after them; the error rate is
10 %, constant, cyclic (3 points up and down by the hour of the day) or overdispersed (3 points of standard
deviation from hour to hour). Then the error alone, with the same share of the budget, rises to 20 % for good,
on the third or tenth day (warm-up) or the twentieth, for several kinds of traffic.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from schemas.settings import DAY_MS, HOUR_MS, MonitorSettings
from schemas.signals import SignalKey, SignalPane
from streams.drift import Budget, SignalWatch
from streams.drift.record import UNIT_MS

KINDS = ("constant", "cyclic", "overdispersed")
SEGMENTS = {"country=DE": 0.4, "country=FR": 0.3, "country=IT": 0.15, "country=ES": 0.1, "country=PT": 0.05}
FEATURES = 10
WARM_UP, AFTER = 14, 30
UNITS = DAY_MS // UNIT_MS
TOGETHER_MS = 6 * HOUR_MS  # drifts so close together are one alert
BUDGET = 1.0


def rates_of(kind: str, days: int, rng: np.random.Generator) -> np.ndarray:
    hours = np.arange(days * 24)
    rate = np.full(len(hours), 0.1)
    if kind == "cyclic":
        rate += 0.03 * np.sin(2 * np.pi * hours / 24)
    if kind == "overdispersed":
        rate = np.clip(rate + 0.03 * rng.normal(size=len(hours)), 0.0, 1.0)
    return np.repeat(rate, HOUR_MS // UNIT_MS)


def month(kind: str, seed: int, an_hour: float, days: int = WARM_UP + AFTER) -> list[int]:
    """Return when drifts were found over a month in which nothing changed."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    watch = SignalWatch("m", "1", "binary", MonitorSettings(segments=tuple(SEGMENTS)), Budget(BUDGET))
    found: list[int] = []
    for panes in quarters(kind, rng, an_hour, days):
        found += [one.drift.detected_at_ms for one in watch.feed(panes)]
    return found


def quarters(kind: str, rng: np.random.Generator, an_hour: float, days: int) -> Iterator[list[SignalPane]]:
    rate = rates_of(kind, days, rng)
    shares = np.array(list(SEGMENTS.values()))
    for i, p in enumerate(rate):
        n = rng.poisson(an_hour * UNIT_MS / HOUR_MS * shares)
        wrong = rng.binomial(n, p)
        ranks = n / 2 + np.sqrt(n / 12) * rng.normal(size=(FEATURES, len(n)))
        panes = []
        for scope, segment in enumerate(["", *SEGMENTS]):
            which = slice(None) if scope == 0 else slice(scope - 1, scope)
            values = int(n[which].sum())
            if not values:
                continue
            span = i * UNIT_MS, (i + 1) * UNIT_MS, values
            errors = float(wrong[which].sum())
            panes.append(SignalPane(SignalKey("error", segment), *span, errors, errors))
            for feature, total in enumerate(ranks[:, which].sum(1).tolist()):
                squares = total * total / values + values / 12
                panes.append(SignalPane(SignalKey("feature", segment, f"f{feature}"), *span, total, squares))
        yield panes


def delay_of(kind: str, seed: int, an_hour: float, day: int) -> tuple[float, bool, int]:
    """Return hours from the change to its detection, whether its interval holds it, and events before it."""
    rng = np.random.default_rng([seed, KINDS.index(kind), day])
    onset = day * UNITS + int(rng.integers(UNITS))
    rate = rates_of(kind, day + 8, rng)
    rate[onset:] += 0.1
    budget = Budget(BUDGET)
    for i in range((1 + FEATURES) * (1 + len(SEGMENTS)) - 1):
        budget.join("1", SignalKey("feature", feature=str(i)))
    watch = SignalWatch("m", "1", "binary", MonitorSettings(), budget)
    early = 0
    for i, p in enumerate(rate):
        n = int(rng.poisson(an_hour * UNIT_MS / HOUR_MS))
        errors = float(rng.binomial(n, p))
        pane = SignalPane(SignalKey("error"), i * UNIT_MS, (i + 1) * UNIT_MS, n, errors, errors)
        for one in watch.feed([pane]):
            drift = one.drift
            if i < onset:
                early += 1
                continue
            onset_ms = onset * UNIT_MS
            covers = drift.change_start_ms <= onset_ms <= drift.change_end_ms
            return (drift.detected_at_ms - onset_ms) / HOUR_MS, covers, early
    return float("inf"), False, early


def alarms(found: list[int]) -> int:
    """Return how many alerts drifts make that are told together when they lie within six hours."""
    return sum(1 for i, at in enumerate(found) if i == 0 or at - found[i - 1] > TOGETHER_MS)


def _month(job: tuple[str, int, float]) -> tuple[str, list[int]]:
    return job[0], month(*job)


def _delay(job: tuple[str, int, float, int]) -> tuple[tuple[str, float, int], tuple[float, bool, int]]:
    return (job[0], job[2], job[3]), delay_of(*job)


def show_months(results: dict[str, list[list[int]]]) -> None:
    print("| error rate | months | drifts in 14 days of warm-up | drifts in 30 days after | alerts, same |")
    print("|---|---|---|---|---|")
    for kind, months in results.items():
        early = [[at for at in found if at <= WARM_UP * DAY_MS] for found in months]
        late = [[at for at in found if at > WARM_UP * DAY_MS] for found in months]
        n = len(months)
        drifts = [sum(map(len, part)) / n for part in (early, late)]
        alerts = [sum(map(alarms, part)) / n for part in (early, late)]
        print(
            f"| {kind} | {n} | {drifts[0]:.3f} | {drifts[1]:.3f} | {alerts[0]:.3f} and {alerts[1]:.3f} |",
            flush=True,
        )


def show_delays(results: dict[tuple[str, float, int], list[tuple[float, bool, int]]]) -> None:
    print("\n| error rate | an hour | change on day | hours: 10 %, median, 90 % | missed in 7 days |")
    print("|---|---|---|---|---|")
    held = found = 0
    for (kind, an_hour, day), runs in results.items():
        hours = np.array([run[0] for run in runs])
        ends = np.quantile(hours, [0.1, 0.5, 0.9], method="higher")
        text = ", ".join("none" if np.isinf(end) else f"{end:.2g}" for end in ends)
        missed = f"{np.isinf(hours).sum()} of {len(runs)}"
        print(f"| {kind} | {an_hour:,.0f} | {day + 1} | {text} | {missed} |")
        held += sum(run[1] for run in runs)
        found += int(np.isfinite(hours).sum())
    print(f"\nthe interval of the change holds its onset in {held} of {found} runs", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--months", type=int, default=300, help="in all, a third of each kind")
    parser.add_argument("--runs", type=int, default=40, help="per kind, traffic and day of the change")
    parser.add_argument("--an-hour", type=float, default=400.0, help="predictions, in the months")
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="thresholds were chosen with those below"
    )
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    begin = time.perf_counter()
    each = max(1, args.months // len(KINDS))
    with ProcessPoolExecutor(args.processes) as pool:
        months: dict[str, list[list[int]]] = {kind: [] for kind in KINDS}
        seeds = range(args.first_seed, args.first_seed + each)
        for kind, found in pool.map(_month, [(k, seed, args.an_hour) for seed in seeds for k in KINDS]):
            months[kind].append(found)
            done = sum(map(len, months.values()))
            if done % 30 == 0:
                drifts = sum(len(one) for of_kind in months.values() for one in of_kind)
                passed = f"{done} of {each * len(KINDS)} months, {drifts} drifts"
                print(passed, f"{time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        show_months(months)
        jobs = [
            (kind, seed, an_hour, day)
            for kind in KINDS
            for an_hour in (10.0, 100.0, 400.0, 2000.0)
            for day in (2, 9, 19)
            for seed in range(args.runs)
        ]
        delays: dict[tuple[str, float, int], list[tuple[float, bool, int]]] = {}
        for key, run in pool.map(_delay, jobs):
            delays.setdefault(key, []).append(run)
        show_delays(delays)
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
