"""What detectors watch of one feature in one pane: its ranks against the reference, and what is missing."""

import numpy as np

from schemas.references import FeatureReference
from schemas.signals import SignalKey, SignalPane
from streams.references.cells import FloatArray, number_cells
from streams.references.counts import FeatureCounts


def feature_signals(
    counts: FeatureCounts, predictions: int | None, reference: FeatureReference, start_ms: int, end_ms: int
) -> list[SignalPane]:
    """Return the signals of one feature over the pane ``[start_ms, end_ms)``.

    Parameters
    ----------
    counts
        Of the pane's values; ``FeatureCounts()`` where there was none.
    predictions
        Of the pane, those without a value among them; None: unknown, then nothing is said of missing ones.

    Returns
    -------
    list of SignalPane
        "feature" (of a regression's predictions "prediction"): mid-ranks in [0, 1] of the values among the
        reference's, 0.5 on average where nothing changed; categories are ranked by how frequent they are,
        the most frequent first, new ones are 1. "spread": distances of these from the middle, in [0, 1].
        "missing": 1 for a value that is missing, 0 for one that is there. Signals of no value are left out.
    """
    segment, feature = reference.segment, reference.feature
    found: list[SignalPane] = []
    if counts.n and reference.n:
        window = _by_reference(counts, reference)
        ranks = cell_ranks(reference)
        spreads = np.abs(2 * ranks - 1)
        watched = SignalKey("feature" if reference.signal == "feature" else "prediction", segment, feature)
        found.append(_pane(watched, start_ms, end_ms, window, ranks))
        if reference.signal == "feature":
            found.append(_pane(SignalKey("spread", segment, feature), start_ms, end_ms, window, spreads))
    if predictions and reference.signal == "feature":
        missing = float(predictions - counts.n)
        key = SignalKey("missing", segment, feature)
        found.append(SignalPane(key, start_ms, end_ms, predictions, missing, missing))
    return found


def cell_ranks(reference: FeatureReference) -> FloatArray:
    """Return the mid-rank of each cell of a reference, in [0, 1], shape ``(k,)``: numbers, categories, new.

    Examples
    --------
    >>> from schemas.references import FeatureReference
    >>> of = FeatureReference("m", "", "", "feature", "f", "v", 4, 4, 0, 0.0, 0.0, (), (0,), (0.0,),
    ...     ("a", "b"), (3, 1), 0, 0.0, 0)
    >>> cell_ranks(of).tolist()
    [0.0, 0.375, 0.875, 1.0]
    """
    numbers = np.array(reference.counts, np.float64)
    categories = np.array(reference.category_counts, np.float64)
    order = np.argsort(-categories, kind="stable")
    held = np.concatenate([numbers, categories[order], [reference.rest]])
    ranked = (np.cumsum(held) - held / 2) / reference.n
    ranks = ranked.copy()
    ranks[len(numbers) + order] = ranked[len(numbers) : -1]
    return ranks


def _pane(
    key: SignalKey,
    start_ms: int,
    end_ms: int,
    window: FloatArray,
    values: FloatArray,
) -> SignalPane:
    n = int(window.sum())
    return SignalPane(key, start_ms, end_ms, n, float(window @ values), float(window @ values**2))


def _by_reference(counts: FeatureCounts, reference: FeatureReference) -> FloatArray:
    known = [counts.categories.get(name, 0) for name in reference.categories]
    numbers, _ = number_cells(counts, reference)
    return np.array([*numbers, *known, counts.n - counts.numbers - sum(known)], np.float64)
