"""The nowcast of one window, from its panes and the delay curves of its model; or why there is none."""

from collections.abc import Mapping, Sequence

import numpy as np

from schemas.coded import FloatArray
from schemas.findings import DelayCurve, Nowcast, Task
from schemas.panes import PaneSums
from schemas.records import IntArray
from streams.nowcast.likelihood import Outcome, Unlabelled, estimate, share_arrived

LEAST_LABELS = 5
MOST_DEVIATION = 0.1  # an interval of 40 points says nothing

REGRESSION = "regression: labels say how far off an answer is, not whether it is right"
LATE = "labels are late"
SAMPLED = "sampled labels: their ages do not carry weights"
FEW = f"fewer than {LEAST_LABELS} labels"
NO_CURVE = "no delay curve yet: no mature labels of one of the outcomes"
CHANGING = "delay curves are changing"
UNCERTAIN = "too little is known: the standard deviation is above 0.1"


def nowcast(
    panes: Sequence[tuple[int, PaneSums]],
    curves: Mapping[tuple[str, bool], DelayCurve],
    task: Task,
    *,
    width_ms: int,
    now_ms: int,
    labels_late: bool = False,
) -> Nowcast:
    """Return what a window's accuracy will be when its labels are there.

    Parameters
    ----------
    panes
        The window's panes: start and sums.
    curves
        By predicted class and whether the answer was right.
    now_ms
        Record time up to which predictions and labels are in the panes.
    labels_late
        Whether labels have stopped coming, so that no curve holds.
    """
    names = sorted({name for _, sums in panes for name, n in sums.maps["predicted"].items() if n > 0})
    wanted = {hit: [curves[name, hit] for name in names if (name, hit) in curves] for hit in (True, False)}
    right, wrong = wanted[True], wanted[False]
    for reason, holds in (
        (REGRESSION, task == "regression"),
        (LATE, labels_late),
        (SAMPLED, any(sums.counts["class_extra"] for _, sums in panes)),
        (FEW, sum(sums.counts["class_n"] for _, sums in panes) < LEAST_LABELS),
        (NO_CURVE, not names or len(right) < len(names) or len(wrong) < len(names)),
        (CHANGING, not all(curve.reliable for curve in (*right, *wrong))),
    ):
        if holds:
            return _none(reason)
    hits, misses = (_labelled(panes, names, which) for which in ("age_hits", "age_misses"))
    answered = np.array([[sums.maps["predicted"].get(name, 0) for _, sums in panes] for name in names])
    ages_ms = np.array([now_ms - start_ms - width_ms / 2 for start_ms, _ in panes])
    found = estimate(
        _outcome(hits, right),
        _outcome(misses, wrong),
        Unlabelled(np.maximum(answered - hits - misses, 0), _left(right, ages_ms), _left(wrong, ages_ms)),
    )
    if not found.deviation <= MOST_DEVIATION:
        return _none(UNCERTAIN)
    return Nowcast(found.accuracy, found.low, found.high)


def _none(reason: str) -> Nowcast:
    return Nowcast(None, None, None, reason)


def _labelled(panes: Sequence[tuple[int, PaneSums]], names: Sequence[str], which: str) -> IntArray:
    counts = [
        [
            int(bins.sum()) if (bins := sums.class_bins[which].get(name)) is not None else 0
            for _, sums in panes
        ]
        for name in names
    ]
    return np.array(counts, np.int64)


def _outcome(labelled: IntArray, curves: Sequence[DelayCurve]) -> Outcome:
    return Outcome(
        labelled.sum(axis=1),
        np.array([curve.n for curve in curves], np.int64),
        np.array([curve.spread for curve in curves]),
        np.array([1 - curve.arrived[-1] for curve in curves]),
    )


def _left(curves: Sequence[DelayCurve], ages_ms: FloatArray) -> FloatArray:
    return np.array([1 - share_arrived(np.array(curve.arrived), ages_ms) for curve in curves])
