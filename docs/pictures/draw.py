"""Simulates late labels, draws the pictures of docs/late-labels.md, and writes the figures it quotes.

Run it with ``make pictures``. Everything is drawn from fixed seeds: the same versions give the same bytes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from river.drift import ADWIN

from schemas.panes import age_edge_ms
from streams.nowcast.likelihood import Outcome, Unlabelled, estimate, share_arrived

mpl.use("svg")
HERE = Path(__file__).parent
HOUR = 3600.0
DAY = 24 * HOUR
WRONG_DELAY_S, RIGHT_DELAY_S = 1 * HOUR, 12 * HOUR  # means of exponential delays: complaints, silence
ERROR = 0.10
AGE_BINS = 95  # the last ends after 90 days
# The slowest outcome decides: of right answers 95 % are labelled after 36 h.
HORIZON_S = RIGHT_DELAY_S * np.log(20)
# Middle tones: readable on white and on black.
TRUTH, PLAIN, NOWCAST, ALARM, FRAME = "#2f9e5b", "#d9822b", "#3f83d8", "#d6455d", "#8a8f98"

mpl.rcParams.update(
    {
        "svg.hashsalt": "aftcast",
        "svg.fonttype": "none",
        "path.simplify": True,
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.transparent": True,
        **dict.fromkeys(
            ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), FRAME
        ),
    }
)


@dataclass(frozen=True)
class Traffic:
    """Predictions in order of time: when each was made, whether it is wrong, when its label came."""

    made_s: np.ndarray
    wrong: np.ndarray
    labelled_s: np.ndarray


def traffic(
    days: int, seed: int, error: Callable[[np.ndarray], np.ndarray], per_hour: float = 400
) -> Traffic:
    """Simulate days and nights, the busiest hour five times as busy as the quietest."""
    rng = np.random.default_rng(seed)
    hours = np.arange(days * 24)
    n = rng.poisson(per_hour * (1 + 2 / 3 * np.sin(2 * np.pi * hours / 24)))
    made = np.sort(np.repeat(hours, n) * HOUR + rng.uniform(0, HOUR, n.sum()))
    wrong = rng.random(len(made)) < error(made)
    delay = rng.exponential(np.where(wrong, WRONG_DELAY_S, RIGHT_DELAY_S))
    return Traffic(made, wrong, made + delay)


def constant(made_s: np.ndarray) -> np.ndarray:
    return np.full(len(made_s), ERROR)


def alarms(times_s: np.ndarray, values: np.ndarray) -> tuple[list[float], list[tuple[float, float]]]:
    """Feed ADWIN and return when it fires, and its estimate every six hours."""
    detector, fired, levels = ADWIN(clock=1), [], []
    next_s = times_s[0] + DAY / 8  # of the first few values nobody makes an estimate
    for time_s, value in zip(times_s.tolist(), values.tolist(), strict=True):
        detector.update(value)
        if detector.drift_detected:
            fired.append(time_s)
        if time_s >= next_s:
            levels.append((time_s, detector.estimation))
            next_s = time_s + DAY / 8
    return fired, levels


def learnt_curve(ages_s: np.ndarray) -> np.ndarray:
    """Return the share of labels that have come by the end of each age bin."""
    edges_s = np.array([age_edge_ms(i) for i in range(AGE_BINS)]) / 1000
    return np.searchsorted(np.sort(ages_s), edges_s, side="right") / len(ages_s)


def draw_order_of_feeding(figures: dict[str, str]) -> None:
    arrival_runs, event_runs = [], []
    for seed in range(10):
        seen = traffic(14, seed, constant)
        came = np.argsort(seen.labelled_s)
        came = came[seen.labelled_s[came] <= 14 * DAY]
        arrival_runs.append(alarms(seen.labelled_s[came], seen.wrong[came].astype(float)))
        mature = seen.made_s <= 14 * DAY - HORIZON_S
        event_runs.append(alarms(seen.made_s[mature] + HORIZON_S, seen.wrong[mature].astype(float)))
    counts = sorted(len(fired) for fired, _ in arrival_runs)
    by_arrival, level_a = arrival_runs[0]
    by_event, level_e = event_runs[0]
    figures["predictions in 14 days, constant error of 10 %"] = f"{len(seen.made_s):,}"
    figures["false alarms in 14 days, labels in order of arrival, ten runs"] = (
        f"{counts[0]} to {counts[-1]} each"
    )
    figures["false alarms in 14 days, in event time behind the horizon, ten runs"] = (
        f"{sum(len(fired) for fired, _ in event_runs)} in all"
    )

    def stepped(made_s: np.ndarray) -> np.ndarray:
        return np.where(made_s < 10 * DAY, 0.10, 0.20)

    waits = []
    for seed in range(10):
        changed = traffic(14, 100 + seed, stepped)
        fired, _ = alarms(changed.made_s, changed.wrong.astype(float))
        waits.append(next(time for time in fired if time >= 10 * DAY) - 10 * DAY)
    figures["a true change from 10 to 20 % found after, median of ten runs"] = (
        f"horizon + {np.median(waits) / HOUR:.1f} h"
    )

    canvas = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = canvas.subplots(2, 1, sharex=True, sharey=True)
    for ax, levels, fired, title in (
        (axes[0], level_a, by_arrival, f"labels as they arrive: {len(by_arrival)} false alarms"),
        (axes[1], level_e, by_event, f"in event time, behind the horizon: {len(by_event)} false alarms"),
    ):
        times, values = zip(*levels, strict=True)
        ax.axhline(ERROR, color=TRUTH, linewidth=1, linestyle="--")
        ax.plot(np.array(times) / DAY, values, color=NOWCAST, linewidth=1.6)
        ax.vlines(np.array(fired) / DAY, 0, 0.03, color=ALARM, linewidth=1.2)
        ax.set_title(title, loc="left", fontsize=10)
        ax.set_ylim(0, 0.45)
        ax.set_ylabel("error that ADWIN sees", fontsize=8)
    axes[1].set_xlabel("day")
    axes[1].set_xlim(0, 14)
    save(canvas, "order-of-feeding")


def draw_delay_curves() -> None:
    seen = traffic(7, 5, constant)
    delays = seen.labelled_s - seen.made_s
    canvas = Figure(figsize=(7.2, 2.9), layout="constrained")
    ax = canvas.subplots()
    ages_s = np.geomspace(60, 5 * DAY, 120)
    for mean_s, wrong, colour, name in (
        (WRONG_DELAY_S, True, ALARM, "wrong answers (complaints)"),
        (RIGHT_DELAY_S, False, TRUTH, "right answers (silence)"),
    ):
        ax.plot(ages_s / HOUR, 1 - np.exp(-ages_s / mean_s), color=colour, linewidth=1.6, label=name)
        arrived = learnt_curve(delays[seen.wrong == wrong])
        edges_s = np.array([age_edge_ms(i) for i in range(AGE_BINS)]) / 1000
        shown = (edges_s > 60) & (edges_s < 5 * DAY) & (np.arange(AGE_BINS) % 3 == 0)
        ax.plot(edges_s[shown] / HOUR, arrived[shown], "o", color=colour, markersize=3.5)
    both = ERROR * (1 - np.exp(-ages_s / WRONG_DELAY_S)) + (1 - ERROR) * (1 - np.exp(-ages_s / RIGHT_DELAY_S))
    ax.plot(ages_s / HOUR, both, color=FRAME, linewidth=1, linestyle=":", label="all answers")
    ax.axvline(HORIZON_S / HOUR, color=NOWCAST, linewidth=1.2, linestyle="--")
    ax.text(HORIZON_S / HOUR * 1.06, 0.05, "horizon", color=NOWCAST)
    ax.set_xscale("log")
    ax.set_xticks([1 / 6, 1, 6, 24, 72], ["10 min", "1 h", "6 h", "1 d", "3 d"])
    ax.minorticks_off()
    ax.set_xlabel("age of the prediction")
    ax.set_ylabel("share labelled")
    ax.legend(loc="upper left", fontsize=9)
    save(canvas, "delay-curves")


def draw_nowcast(figures: dict[str, str]) -> None:
    history = traffic(14, 7, constant)
    delays = history.labelled_s - history.made_s
    learnt = history.made_s < 14 * DAY - HORIZON_S
    arrived = {wrong: learnt_curve(delays[learnt & (history.wrong == wrong)]) for wrong in (True, False)}
    n_learnt = {wrong: int((learnt & (history.wrong == wrong)).sum()) for wrong in (True, False)}

    def hour(rng: np.random.Generator, age_h: int, error: float) -> tuple[float, float, float, float, float]:
        """Return truth, plain accuracy, nowcast and interval of 2,000 predictions whose hour ended then."""
        made_age = (age_h + rng.uniform(0, 1, 2000)) * HOUR
        wrong = rng.random(2000) < error
        came = rng.exponential(np.where(wrong, WRONG_DELAY_S, RIGHT_DELAY_S)) <= made_age
        panes = np.minimum(((made_age / HOUR - age_h) * 60).astype(int), 59)
        ages_ms = (age_h + (np.arange(60) + 0.5) / 60) * HOUR * 1000
        outcome = {
            kind: Outcome(
                np.array([(came & (wrong == kind)).sum()]),
                np.array([n_learnt[kind]]),
                np.zeros(1),
                np.array([1 - arrived[kind][-1]]),
            )
            for kind in (True, False)
        }
        left = Unlabelled(
            np.bincount(panes[~came], minlength=60)[None, :],
            1 - share_arrived(arrived[False], ages_ms)[None, :],
            1 - share_arrived(arrived[True], ages_ms)[None, :],
        )
        found = estimate(outcome[False], outcome[True], left)
        plain = float((came & ~wrong).sum() / max(came.sum(), 1))
        return 1 - float(wrong.mean()), plain, found.accuracy, found.low, found.high

    rng = np.random.default_rng(11)
    ages = list(range(47, -1, -1))
    rows = np.array([hour(rng, age, 0.20 if age < 6 else ERROR) for age in ages])
    canvas = Figure(figsize=(7.2, 3.2), layout="constrained")
    ax = canvas.subplots()
    x = -np.array(ages) - 0.5
    ax.fill_between(x, rows[:, 3], rows[:, 4], color=NOWCAST, alpha=0.3, linewidth=0)
    ax.plot(x, rows[:, 2], color=NOWCAST, linewidth=1.6, label="nowcast, 95 %")
    ax.plot(x, rows[:, 1], color=PLAIN, linewidth=1.6, label="labels so far")
    ax.plot(x, rows[:, 0], color=TRUTH, linewidth=1.2, linestyle="--", label="truth")
    ax.axvline(-HORIZON_S / HOUR, color=FRAME, linewidth=1, linestyle=":")
    ax.text(-HORIZON_S / HOUR - 0.4, 0.24, "mature", ha="right")
    ax.text(-HORIZON_S / HOUR + 0.4, 0.24, "provisional")
    ax.set_ylim(0.2, 1.0)
    ax.set_xlim(-48, 0)
    ax.set_xlabel("hours before now")
    ax.set_ylabel("accuracy")
    ax.legend(loc="center left", fontsize=9)
    save(canvas, "nowcast")

    draws = np.array([hour(np.random.default_rng(1000 + i), 0, ERROR) for i in range(1000)])
    truth = draws[:, 0]
    figures["accuracy of an hour of 2,000 at its close, labels so far"] = f"{draws[:, 1].mean():.2f}"
    figures["truth of that hour, on average"] = f"{truth.mean():.2f}"
    figures["rms error of the labels so far"] = f"{np.sqrt(((draws[:, 1] - truth) ** 2).mean()):.3f}"
    figures["rms error of the nowcast"] = f"{np.sqrt(((draws[:, 2] - truth) ** 2).mean()):.3f}"
    covered = (draws[:, 3] <= truth) & (truth <= draws[:, 4])
    figures["how often the 95 % interval holds the truth, 1,000 hours"] = f"{covered.mean():.1%}"


def draw_week(figures: dict[str, str]) -> None:
    def daily(made_s: np.ndarray) -> np.ndarray:
        return 0.10 + 0.03 * np.sin(2 * np.pi * made_s / DAY)

    seen = traffic(28, 13, daily)
    hours = (seen.made_s // HOUR).astype(int)
    n = np.bincount(hours, minlength=28 * 24)
    rate = np.bincount(hours, seen.wrong, minlength=28 * 24) / n
    known = seen.made_s < 14 * DAY
    of_day = hours % 24
    baseline = np.bincount(of_day[known], seen.wrong[known], 24) / np.bincount(of_day[known], minlength=24)
    later = ~known
    plain, _ = alarms(seen.made_s[later], seen.wrong[later].astype(float))
    # Residuals lie in [-1, 1]; ADWIN is made for [0, 1].
    against, _ = alarms(seen.made_s[later], (seen.wrong - baseline[of_day] + 1)[later] / 2)
    figures["false alarms in two weeks of 10 % +- 3 points by the hour, on the errors"] = f"{len(plain)}"
    figures["the same against the usual hour of the day"] = f"{len(against)}"

    canvas = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes: list[Axes] = list(canvas.subplots(2, 1, sharex=True))
    shown = np.arange(14 * 24, 28 * 24)
    axes[0].plot(shown / 24, rate[shown], color=PLAIN, linewidth=1, label="error, hour by hour")
    axes[0].plot(shown / 24, baseline[shown % 24], color=TRUTH, linewidth=1.4, label="usual for the hour")
    axes[0].vlines(np.array(plain) / DAY, 0, 0.02, color=ALARM, linewidth=1.2)
    axes[0].set_title(f"the errors as they are: {len(plain)} false alarms", loc="left", fontsize=10)
    axes[0].set_ylim(0, 0.24)
    axes[0].legend(loc="upper right", ncols=2, fontsize=9)
    axes[1].axhline(0, color=TRUTH, linewidth=1.4)
    axes[1].plot(shown / 24, rate[shown] - baseline[shown % 24], color=PLAIN, linewidth=1)
    axes[1].vlines(np.array(against) / DAY, -0.12, -0.1, color=ALARM, linewidth=1.2)
    axes[1].set_title(f"against what is usual: {len(against)}", loc="left", fontsize=10)
    axes[1].set_ylim(-0.12, 0.12)
    axes[1].set_xlim(14, 28)
    axes[1].set_xlabel("day")
    save(canvas, "usual-week")


def save(canvas: Figure, name: str) -> None:
    canvas.savefig(HERE / f"{name}.svg", metadata={"Date": None, "Creator": "aftcast: make pictures"})


def main() -> None:
    figures: dict[str, str] = {}
    draw_nowcast(figures)
    draw_order_of_feeding(figures)
    draw_delay_curves()
    draw_week(figures)
    (HERE / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for name, figure in figures.items():
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main()
