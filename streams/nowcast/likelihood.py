"""How many answers are right, from those labelled so far, the others, and how fast each kind is labelled."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from schemas.coded import FloatArray
from schemas.panes import AGE_FLOOR_MS
from schemas.records import IntArray

STEPS = 50  # halvings of (0, 1): to 1e-15
LEAST_LEFT = 1e-9  # a curve says "all labelled" of what is not: one in 1e9 is left then
SIGMAS = 1.959963984540054  # 95 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """Answers without a label, shape ``(n_classes, n_panes)`` each: predicted class by pane of the window.

    ``left_right`` is the share of right answers of that class whose label has not come at the pane's age
    (one less ``share_arrived``), ``left_wrong`` the same of wrong ones.
    """

    n: IntArray
    left_right: FloatArray
    left_wrong: FloatArray


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of one kind of outcome, shape ``(n_classes,)`` each.

    ``labelled`` are counted in the window. ``learnt`` is the number of labels that the curve was learnt
    from, ``spread`` what hours differ beyond chance (``schemas.findings.DelayCurve``); ``never`` is the share
    that is never labelled.
    """

    labelled: IntArray
    learnt: IntArray
    spread: FloatArray
    never: FloatArray


@dataclass(frozen=True, slots=True)
class Estimate:
    """The accuracy that a window will show, its standard deviation, and its 95 % interval."""

    accuracy: float
    deviation: float
    low: float
    high: float


def share_arrived(arrived: FloatArray, ages_ms: FloatArray) -> FloatArray:
    """Return the share of predictions whose label is there at an age, read off a delay curve.

    Linear in ``x = 4 log2(age / 1 s)`` between the edges of age bins, which stand at ``x = 0, 1, 2, ...``;
    ``arrived[0]`` between 0 and a second, 0 below, ``arrived[-1]`` beyond the last edge.

    Examples
    --------
    >>> share_arrived(np.array([0.0, 0.2, 0.6]), np.array([-5.0, 1000.0, 2**0.375 * 1000, 1e9]))
    array([0. , 0. , 0.4, 0.6])
    """
    places = 4 * np.log2(np.maximum(ages_ms, AGE_FLOOR_MS) / AGE_FLOOR_MS)
    return np.where(ages_ms > 0, np.interp(places, np.arange(len(arrived)), arrived), 0.0)


def estimate(right: Outcome, wrong: Outcome, unlabelled: Unlabelled) -> Estimate:
    """Return what a window will show when all labels that ever come are there, by maximum likelihood.

    For each predicted class on its own ``q`` is the probability that an answer is right. A labelled answer
    that is right weighs ``q``, a wrong one ``1 - q`` (its age says nothing about ``q``), an unlabelled one
    ``d = q left_right + (1 - q) left_wrong``. One answer is added, right with the share of ``learnt``, so
    that a class without labels is taken for what it was. The score falls in ``q``: its root is found by
    ``STEPS`` halvings of (0, 1). Of the unlabelled, ``q (left_right - never) / d`` will turn out right, and
    likewise wrong; they join those counted.

    The variance of ``q`` is one over its information, less ``q (1 - q) / n`` of the ``n`` labels that will be
    there (meant is the window's own accuracy, not the probability behind it), plus what the curves may be
    wrong by: their variance at each age, ``left (1 - left) (1 / learnt + spread)``, taken as one error common
    to all panes. The interval is symmetric in the logit of the accuracy.

    Examples
    --------
    >>> right = Outcome(np.array([45]), np.array([900]), np.zeros(1), np.zeros(1))
    >>> wrong = Outcome(np.array([63]), np.array([100]), np.zeros(1), np.zeros(1))
    >>> left = Unlabelled(np.array([[892]]), np.array([[0.95]]), np.array([[0.37]]))
    >>> found = estimate(right, wrong, left)
    >>> round(found.accuracy, 3), round(found.low, 3), round(found.high, 3)
    (0.9, 0.877, 0.919)
    """
    n = unlabelled.n
    left_right = np.maximum(unlabelled.left_right, LEAST_LEFT)
    left_wrong = np.maximum(unlabelled.left_wrong, LEAST_LEFT)
    gap = left_right - left_wrong
    prior = right.learnt / (right.learnt + wrong.learnt)
    hits, misses = right.labelled + prior, wrong.labelled + (1.0 - prior)

    low, high = np.zeros(len(hits)), np.ones(len(hits))
    for _ in range(STEPS):
        q = (low + high) / 2
        weight = q[:, None] * left_right + (1 - q[:, None]) * left_wrong
        rising = hits / q - misses / (1 - q) + (n * gap / weight).sum(axis=1) > 0
        low, high = np.where(rising, q, low), np.where(rising, high, q)
    q = (low + high) / 2
    weight = q[:, None] * left_right + (1 - q[:, None]) * left_wrong

    more_right = (n * q[:, None] * np.maximum(left_right - right.never[:, None], 0.0) / weight).sum(axis=1)
    more_wrong = (n * (1 - q[:, None]) * np.maximum(left_wrong - wrong.never[:, None], 0.0) / weight).sum(
        axis=1
    )
    in_the_end = right.labelled + wrong.labelled + more_right + more_wrong
    total = in_the_end.sum()
    accuracy = float((right.labelled + more_right).sum() / total)

    information = hits / q**2 + misses / (1 - q) ** 2 + (n * gap**2 / weight**2).sum(axis=1)
    own = np.maximum(1 / information - q * (1 - q) / np.maximum(in_the_end, 1e-9), 0.0)
    pull_right = (n * left_wrong * _error(left_right, right) / weight**2).sum(axis=1)
    pull_wrong = (n * left_right * _error(left_wrong, wrong) / weight**2).sum(axis=1)
    curves = (pull_right**2 + pull_wrong**2) / information**2
    deviation = float(np.sqrt(((in_the_end / total) ** 2 * (own + curves)).sum()))
    return Estimate(accuracy, deviation, *_interval(accuracy, deviation))


def _error(left: FloatArray, outcome: Outcome) -> FloatArray:
    relative = 1 / np.maximum(outcome.learnt, 1) + outcome.spread
    return np.sqrt(np.maximum(left * (1 - left), 0.0) * relative[:, None])


def _interval(accuracy: float, deviation: float) -> tuple[float, float]:
    if deviation == 0.0 or not 0.0 < accuracy < 1.0:
        return accuracy, accuracy
    middle = np.log(accuracy / (1 - accuracy))
    reach = SIGMAS * deviation / (accuracy * (1 - accuracy))
    return float(expit(middle - reach)), float(expit(middle + reach))
