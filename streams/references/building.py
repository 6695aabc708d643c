"""A reference out of counts: cells at the quantiles, the most frequent categories, a version by content."""

import hashlib
from dataclasses import replace
from typing import Literal

import msgspec
import numpy as np

from schemas.features import MOST_CATEGORIES, grid_middle
from schemas.references import FeatureReference
from streams.references.counts import FeatureCounts

CELLS = 20  # each holds a twentieth of the numbers where no value is more frequent than that
# Categories have a cell each. Of very many only frequent ones have: the most frequent of many rare ones were
# so by luck, and would seem to have become rarer ever since.
TOP_CATEGORIES = 30
FREQUENT = 100  # values: their luck is a tenth of them at most
VERSION_DIGITS = 12


def build_reference(
    counts: FeatureCounts,
    predictions: int,
    *,
    model: str,
    model_version: str,
    segment: str,
    signal: Literal["feature", "prediction"],
    feature: str,
    as_of_ms: int,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> FeatureReference:
    """Return the reference of one feature, its version a hash of the content, its level still 0.

    Parameters
    ----------
    counts
        Of the values that were there, ``counts.n`` of them.
    predictions
        Those without a value among them.
    as_of_ms
        Event time from which it holds.
    since_ms, until_ms
        Which traffic it was made of, if it was frozen from traffic.
    """
    edges, numbers, values = _cells(counts)
    top = sorted(counts.categories.items())
    if counts.other or len(top) > MOST_CATEGORIES:
        ranked = sorted(top, key=lambda item: -item[1])
        top = sorted(item for item in ranked[:TOP_CATEGORIES] if item[1] >= FREQUENT)
    reference = FeatureReference(
        model=model,
        model_version=model_version,
        segment=segment,
        signal=signal,
        feature=feature,
        reference_version="",
        predictions=predictions,
        n=counts.n,
        numbers=counts.numbers,
        sum=counts.sum,
        m2=counts.m2,
        edges=edges,
        counts=numbers,
        values=values,
        categories=tuple(name for name, _ in top),
        category_counts=tuple(count for _, count in top),
        rest=counts.n - counts.numbers - sum(count for _, count in top),
        level_per_s=0.0,
        as_of_ms=as_of_ms,
        since_ms=since_ms,
        until_ms=until_ms,
    )
    return replace(reference, reference_version=reference_version(reference))


def reference_version(reference: FeatureReference) -> str:
    """Return a short hash of what windows are compared with."""
    content = [
        getattr(reference, name)
        for name in ("predictions", "n", "numbers", "sum", "m2", "edges", "counts", "categories")
    ]
    content += [reference.category_counts, reference.rest]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:VERSION_DIGITS]


def _cells(counts: FeatureCounts) -> tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]:
    """Return edges, counts and values: a value as frequent as a whole cell has one to itself."""
    if not len(counts.cells):
        return (), (0,), (0.0,)
    share = counts.numbers / CELLS
    bins: list[list[int]] = []  # places in counts.cells
    alone = True  # nothing may join the last bin
    gathered = 0
    for i, count in enumerate(counts.counts.tolist()):
        heavy = count >= share
        if alone or heavy:
            bins.append([])
            gathered = 0
        bins[-1].append(i)
        gathered += count
        alone = heavy or gathered >= share
    edges: list[int] = []
    held = [0]
    values = [grid_middle(int(counts.cells[0]) - 1)]
    for places in bins:
        first, last = int(counts.cells[places[0]]), int(counts.cells[places[-1]])
        single = len(places) == 1
        if edges and edges[-1] < first and single:
            # Nothing was between two frequent values: a cell of its own shows what comes there.
            held.append(0)
            values.append(grid_middle((edges[-1] + first) // 2))
        if not edges or (edges[-1] < first and single):
            edges.append(first)
        own = counts.counts[places]
        middles = np.array([grid_middle(int(cell)) for cell in counts.cells[places]])
        held.append(int(own.sum()))
        values.append(float(middles @ own / own.sum()))
        edges.append(last + 1)
    held.append(0)
    values.append(grid_middle(edges[-1]))
    return tuple(edges), tuple(held), tuple(values)
