"""How far auc from bins is from scikit-learn's over the same scores, by the size of the window.

    python benchmarks/auc.py [--windows 400]

Each line is a shape of scores, a share of positives and a number of labels; many windows are drawn of each.
"""

import argparse

import numba as nb
import numpy as np
from sklearn.metrics import roc_auc_score

from schemas.panes import SUB_BINS
from streams.metrics.scores import auc_of_bins
from streams.panes.scores.kernels import score_place

SIZES = (300, 1_000, 3_000, 10_000)
SHARES = (0.005, 0.05, 0.5)
# Log odds of (negatives, positives): centre and spread of the first, and how much higher the second are.
SHAPES = {
    "clicks, scores near 0.005": lambda rng, n, up: -5.3 + 0.8 * rng.normal(size=n) + up,
    "clicks, all within a few thousandths": lambda rng, n, up: -5.3 + 0.3 * rng.normal(size=n) + 0.4 * up,
    "spread over all of [0, 1]": lambda rng, n, up: 2.5 * rng.normal(size=n) + 3.0 * up,
    "around one half": lambda rng, n, up: 0.3 * rng.normal(size=n) + 0.4 * up,
}


@nb.njit
def places_of(scores):
    return np.array([score_place(p) for p in scores])


def binned(scores):
    """Return the bins of scores of one outcome, as ``schemas.panes.CLASS_BINS`` holds them."""
    places = places_of(scores)
    index = places.astype(int)
    position = ((places - index) * SUB_BINS).astype(int)
    bins = np.zeros(2 * 374, np.int64)
    np.add.at(bins, 2 * index, 1)
    np.add.at(bins, 2 * index + 1, position)
    return bins


def gaps(shape, share, size, windows, seed):
    """Return how far auc is off in each of some windows."""
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < windows:
        came_true = rng.random(size) < share
        if came_true.all() or not came_true.any():
            continue
        scores = 1 / (1 + np.exp(-shape(rng, size, came_true)))
        area = auc_of_bins(binned(scores[came_true]), binned(scores[~came_true]))
        found.append(abs(area - roc_auc_score(came_true, scores)))
    return np.array(found)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=400)
    args = parser.parse_args()
    for shape, draw in SHAPES.items():
        for share in SHARES:
            for size in SIZES:
                off = gaps(draw, share, size, args.windows, len(shape) + size)
                middle, high, highest = np.quantile(off, (0.5, 0.95, 0.99))
                print(
                    f"{shape:38s} {share:6.1%} positive {size:7,} labels: p50 {middle:.5f} p95 {high:.5f} "
                    f"p99 {highest:.5f} beyond 0.002: {(off > 0.002).mean():.1%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
