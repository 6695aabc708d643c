"""In which order rows of panes are read out: by model, version, segment and pane, chosen by some of these."""

import numpy as np

from schemas.records import IntArray
from streams.codes.vocabulary import Vocabulary
from streams.panes.store import PaneStore


def chosen_rows(
    panes: PaneStore, vocabulary: Vocabulary, model: str | None, start_ms: int | None, end_ms: int | None
) -> IntArray:
    """Return rows of ``panes`` sorted by their keys; None of an argument: all.

    Parameters
    ----------
    model
        Only this one.
    start_ms, end_ms
        Only panes that start in ``[start_ms, end_ms)``.
    """
    rows = panes.rows()
    stream, pane, segment = panes.keys_of(rows)
    names, texts = vocabulary.stream_names, vocabulary.segments.names.texts
    chosen = np.ones(len(rows), bool)
    if model is not None:
        chosen &= np.array([name == model for name, _ in names], bool)[stream]
    if start_ms is not None:
        chosen &= pane * panes.width_ms >= start_ms
    if end_ms is not None:
        chosen &= pane * panes.width_ms < end_ms
    stream_rank = np.argsort(sorted(range(len(names)), key=names.__getitem__))
    segment_rank = np.argsort(sorted(range(len(texts)), key=texts.__getitem__))
    order = np.lexsort((pane[chosen], segment_rank[segment[chosen]], stream_rank[stream[chosen]]))
    found: IntArray = rows[chosen][order]
    return found
