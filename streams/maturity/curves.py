"""Delay curves out of cohorts: the share of each outcome that is labelled by age."""

import numpy as np

from schemas.coded import FloatArray
from schemas.findings import DelayCurve
from schemas.records import IntArray
from streams.maturity.cohorts import Outcome, Slice
from streams.maturity.horizon import LEAST_LABELS, grouped

OWN_LABELS = 100  # fewer of an outcome do not make a curve: a class has that of all classes then
OWN_ANSWERS = 20  # labelled answers of a class, with which it has a share of right ones of its own
SPREAD_LABELS = 30  # of the hours between which spread is told


def learn_curves(cohorts: Slice, model: str, *, reliable: bool, as_of_ms: int) -> list[DelayCurve]:
    """Return two curves for each predicted class, right and wrong answers; the version is left open.

    None at all where labels of an outcome have not come: a share of right answers cannot be told then. Ages
    in ``cohorts`` are complete up to ``cohorts.upto``; what has no label by then never gets one.
    """
    outcomes = cohorts.outcomes()
    empty = np.zeros((len(cohorts.cohorts), cohorts.upto + 1), np.int64)
    pooled = {hit: sum((o for (_, h), o in outcomes.items() if h == hit), empty) for hit in (True, False)}
    names = sorted({name for cohort in cohorts.cohorts for name, n in cohort.answered.items() if n > 0})
    if any(labels.sum() < LEAST_LABELS for labels in pooled.values()):
        return []
    answered = {name: sum(cohort.answered.get(name, 0) for cohort in cohorts.cohorts) for name in names}
    all_share = _share(sum(int(labels.sum()) for labels in pooled.values()), sum(answered.values()))
    shapes = {hit: _shape(labels) for hit, labels in pooled.items()}
    found = []
    for name in names:
        own = {hit: outcomes.get((name, hit), empty) for hit in (True, False)}
        n = {hit: int(labels.sum()) for hit, labels in own.items()}
        share = _share(sum(n.values()), answered[name]) if answered[name] >= OWN_LABELS else all_share
        if sum(n.values()) < OWN_ANSWERS:
            n = {hit: int(labels.sum()) for hit, labels in pooled.items()}
        for hit in (True, False):
            shape, spread = _shape(own[hit]) if own[hit].sum() >= OWN_LABELS else shapes[hit]
            found.append(
                DelayCurve(
                    model=model,
                    model_version="",
                    predicted=name,
                    hit=hit,
                    n=n[hit],
                    arrived=tuple((share * shape).tolist()),
                    reliable=reliable,
                    as_of_ms=as_of_ms,
                    spread=spread,
                )
            )
    return found


def _share(labelled: int, answered: int) -> float:
    return min(labelled / answered, 1.0) if answered > 0 else 0.0


def _shape(labels: IntArray) -> tuple[FloatArray, float]:
    """Return the share by age of the labels that come, and how much more hours differ than by chance."""
    total = labels.sum(axis=0)
    share = np.cumsum(total) / total.sum()
    groups = grouped(labels, SPREAD_LABELS)
    n = groups.sum(axis=1, keepdims=True)
    if len(groups) < 2:
        return share, 0.0
    parts = np.cumsum(groups, axis=1) / n
    chance = share * (1 - share)
    excess = ((n * (parts - share) ** 2).sum(axis=0) - (len(groups) - 1) * chance) / n.sum()
    weight = chance.sum()
    return share, float(max(excess.sum() / weight, 0.0)) if weight > 0 else 0.0


def moved(known: DelayCurve, new: DelayCurve) -> bool:
    """Return whether a curve differs enough from the one announced to be announced again."""
    if known.reliable != new.reliable or len(known.arrived) != len(new.arrived):
        return True
    if abs(new.n - known.n) > 0.1 * known.n or abs(new.spread - known.spread) > 0.005:
        return True
    return max(abs(a - b) for a, b in zip(known.arrived, new.arrived, strict=True)) > 0.005


def outcomes_of(curves: list[DelayCurve]) -> dict[Outcome, DelayCurve]:
    return {(curve.predicted, curve.hit): curve for curve in curves}
