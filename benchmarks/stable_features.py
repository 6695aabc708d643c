"""Windows of stable features that a nominal 5 % flags, and how soon injected shifts are found.

Ten kinds of feature, windows of 50 to 5,000 values, references of ten windows and at least 1,000 values,
averaged over many references. Beside it: the same windows by the formula that is in wide use, a one-sample
chi-square test against the scaled reference (scipy), and a fixed threshold on the Jensen-Shannon distance.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.stats import chisquare

from schemas.references import FeatureReference
from streams.references import FeatureCounts, build_reference, feature_drift
from streams.references.cells import map_cells
from streams.references.distances import jensen_shannon_distance

Values = np.ndarray
Draw = Callable[[np.random.Generator, int], Values]
HOUR_MS = 3_600_000
SIZES = (50, 200, 1_000, 5_000)
SHARES_50 = 1 / np.arange(1, 51)


def _inflated(rng: np.random.Generator, n: int) -> Values:
    return np.where(rng.random(n) < 0.7, 0.0, rng.lognormal(0, 1, n))


def _holed(rng: np.random.Generator, n: int) -> Values:
    return np.where(rng.random(n) < 0.3, np.nan, rng.normal(0, 1, n))


KINDS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(0, 1, n),
    "heavy-tailed": lambda rng, n: rng.standard_cauchy(n),
    "zero-inflated": _inflated,
    "constant": lambda rng, n: np.full(n, 7.5),
    "10 categories": lambda rng, n: rng.integers(0, 10, n).astype(str),
    "50 categories": lambda rng, n: rng.choice(50, n, p=SHARES_50 / SHARES_50.sum()).astype(str),
    "30 % missing": _holed,
    "N(1000, 1)": lambda rng, n: rng.normal(1000, 1, n),
    "integers": lambda rng, n: rng.poisson(3, n).astype(float),
    "time stamps": lambda rng, n: rng.uniform(1.75e12, 1.75e12 + 6e5, n),
    "uniform": lambda rng, n: rng.uniform(0, 1, n),
}


def counted(values: Values) -> FeatureCounts:
    """Return what panes would have counted."""
    if values.dtype.kind == "U":
        names, counts = np.unique(values, return_counts=True)
        return FeatureCounts(
            n=len(values), categories=dict(zip(names.tolist(), counts.tolist(), strict=True))
        )
    there = values[~np.isnan(values)]
    cells, counts = np.unique(grid_cells(there), return_counts=True)
    mean = there.mean() if len(there) else 0.0
    moments = [(len(there), float(there.sum()), float(((there - mean) ** 2).sum()))] if len(there) else []
    return FeatureCounts(len(there), len(there), moments, cells, counts)


def grid_cells(values: Values) -> Values:
    """Return ``schemas.features.grid_cell`` of each value."""
    magnitude = np.abs(values)
    cells = (magnitude.view(np.int64) >> 46) - ((1023 - 40) << 6) + 1
    return np.where(magnitude < 2.0**-40, 0, np.where(values > 0, cells, -cells))


def reference_of(values: Values) -> FeatureReference:
    return build_reference(
        counted(values),
        len(values),
        model="m",
        model_version="",
        segment="",
        signal="feature",
        feature="f",
        as_of_ms=0,
    )


def scores(values: Values, reference: FeatureReference) -> tuple[float, float]:
    """Return both p-values."""
    row = feature_drift(counted(values), len(values), reference, feature="f", start_ms=0, window_ms=HOUR_MS)
    p, missing = row["p_value"], row["p_value_missing"]
    return (p if isinstance(p, float) else 1.0), (missing if isinstance(missing, float) else 1.0)


def rivals(values: Values, reference: FeatureReference) -> tuple[float, float]:
    """Return the one-sample chi-square's p-value, and the distance, over the reference's own cells."""
    cells = map_cells(counted(values), reference)
    kept = cells.reference > 0
    window, expected = cells.window[kept], cells.reference[kept]
    if len(window) < 2 or not window.sum():
        return 1.0, 0.0
    p = float(chisquare(window, expected * window.sum() / expected.sum()).pvalue)
    return p, jensen_shannon_distance(cells.window, cells.reference) * np.sqrt(np.log(2))


def stable(draw: Draw, n: int, references: int, windows: int, seed: int) -> dict[str, float]:
    """Return the share of stable windows that each way flags at a nominal 5 %."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(references):
        reference = reference_of(draw(rng, max(1_000, 10 * n)))
        for _ in range(windows):
            values = draw(rng, n)
            found.append((*scores(values, reference), *rivals(values, reference)))
    p, missing, one_sample, distance = np.array(found).T
    return {
        "values": float((p < 0.05).mean()),
        "missing": float((missing < 0.05).mean()),
        "p < 0.1 %": float((p < 0.001).mean()),
        "one-sample chi-square": float((one_sample < 0.05).mean()),
        "JS above 0.1": float((distance >= 0.1).mean()),
    }


def _with_outlier(rng: np.random.Generator, n: int) -> Values:
    values = rng.normal(0.5, 1, n)
    values[0] = 1e6
    return values


def _new_category(rng: np.random.Generator, n: int) -> Values:
    return np.where(rng.random(n) < 0.03, "new", rng.integers(0, 10, n).astype(str))


SHIFTS: dict[str, tuple[Draw, Draw]] = {
    "mean + 0.1 sd": (KINDS["normal"], lambda rng, n: rng.normal(0.1, 1, n)),
    "mean + 0.5 sd, beside one value of a million": (KINDS["normal"], _with_outlier),
    "N(1000, 1): mean + 0.5": (KINDS["N(1000, 1)"], lambda rng, n: rng.normal(1000.5, 1, n)),
    "variance x 1.5": (KINDS["normal"], lambda rng, n: rng.normal(0, np.sqrt(1.5), n)),
    "a new category, 3 %": (KINDS["10 categories"], _new_category),
    "missing 0 to 10 %": (
        KINDS["normal"],
        lambda rng, n: np.where(rng.random(n) < 0.1, np.nan, rng.normal(0, 1, n)),
    ),
}


def delay(before: Draw, after: Draw, n: int, level: float, seed: int, most: int = 200) -> int | None:
    """Return in which window after the shift it is found first; None: not in ``most``."""
    rng = np.random.default_rng(seed)
    reference = reference_of(before(rng, max(1_000, 24 * n)))
    for window in range(1, most + 1):
        if min(scores(after(rng, n), reference)) < level:
            return window
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few references: minutes become seconds")
    arguments = parser.parse_args()
    references, windows = (40, 5) if arguments.quick else (1_000, 5)
    print(f"share of stable windows flagged at a nominal 5 %, {references * windows} windows each")
    print(f"{'feature':<16}{'n':>6}{'values':>9}{'missing':>9}{'one-sample':>12}{'JS >= 0.1':>11}")
    for kind, draw in KINDS.items():
        for n in SIZES:
            shares = stable(draw, n, references, windows, seed=n)
            print(
                f"{kind:<16}{n:>6}{shares['values']:>9.1%}{shares['missing']:>9.1%}"
                f"{shares['one-sample chi-square']:>12.1%}{shares['JS above 0.1']:>11.1%}",
                flush=True,
            )
    # A false alarm a month over ten features and six scopes, hourly windows.
    level = 1.0 * 3600 / (30 * 86_400) / (10 * 6 * 2)
    print(
        f"\nwindows until a shift is found, level {level:.1e}, median of {21 if not arguments.quick else 5}"
    )
    for name, (before, after) in SHIFTS.items():
        for n in SIZES:
            delays = [
                delay(before, after, n, level, seed, most=60) for seed in range(5 if arguments.quick else 21)
            ]
            late = sorted(61 if one is None else one for one in delays)
            median = late[len(late) // 2]
            print(f"{name:<46}{n:>6}{'over 60' if median > 60 else median:>9}", flush=True)


if __name__ == "__main__":
    main()
