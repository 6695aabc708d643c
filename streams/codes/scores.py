"""Scores, and numbers with bounds: what they speak of under one code, and one number or vector each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.coded import NO_CLASS, CodeArray, FloatArray, Scorings
from schemas.records import IntArray
from schemas.settings import ModelSettings
from streams.codes.classes import text_key
from streams.codes.names import Names
from streams.codes.repeats import distinct_texts

BOUNDED_SIZE = 3  # number, lower, upper
# How far the scores of all classes may be from 1 together: those of eight-bit models are off by 0.4 %.
TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class CodedScores:
    """The scores of a batch, shape ``(n,)``: ``scoring`` is -1 and ``number`` NaN where nothing counts."""

    scoring: CodeArray
    number: FloatArray
    vectors: FloatArray
    vector_rows: IntArray


class ScoreTable:
    """Gives every set of score keys of a model one code, and says which class of two is the positive one.

    Parameters
    ----------
    models
        ``[models.NAME]``, for ``positive``.
    classes
        The names of classes, to which those of scores are added.
    """

    def __init__(self, models: Mapping[str, ModelSettings], classes: Names) -> None:
        self._models = models
        self._classes = classes
        self._codes: dict[tuple[int, ...], int] = {}
        self.not_one = 0  # predictions with several scores that do not sum to one; they are used as they are
        self._offsets = [0]
        self._class_keys: list[int] = []
        self._view = Scorings(np.zeros(1, np.int64), np.zeros(0, np.int64))

    def view(self) -> Scorings:
        return self._view

    def code(
        self,
        column: pa.MapArray,
        used: np.ndarray,
        stream: CodeArray,
        stream_names: Sequence[tuple[str, str]],
        bounded_rows: IntArray,
        bounded: FloatArray,
    ) -> CodedScores:
        """Return the scores of the rows that are ``used``; of the others and of empty scores nothing.

        Of one or two score keys the probability of the positive class is kept: of the only key; else of
        ``[models.NAME] positive``; else of the last in sorted order. Of more, all of them.

        ``bounded``, shape ``(len(bounded_rows), 3)``, are number, lower and upper bound of predictions
        without scores: kept as if they were the scores of three classes without a name.
        """
        n = len(column)
        coded = CodedScores(np.full(n, -1, np.int32), np.full(n, np.nan), np.zeros(0), np.zeros(0, np.int64))
        offsets = np.asarray(column.offsets).astype(np.int64)
        begin, end = int(offsets[0]), int(offsets[-1])
        sizes = np.where(used, np.diff(offsets), 0)
        if not sizes.any() and not len(bounded_rows):
            return coded
        key_of, names = distinct_texts(column.keys.slice(begin, end - begin))
        indices = key_of.astype(np.int64)
        values = np.asarray(column.items.slice(begin, end - begin), np.float64)
        first = offsets[:-1] - begin
        # Vectors lie in the order of the rows, so that those that leave first are the first.
        vector_sizes = np.where(sizes > 2, sizes, 0)
        vector_sizes[bounded_rows] = BOUNDED_SIZE
        vector_starts = np.cumsum(vector_sizes) - vector_sizes
        vectors = np.empty(int(vector_sizes.sum()))
        if len(bounded_rows):
            coded.scoring[bounded_rows] = self._scoring((NO_CLASS,) * BOUNDED_SIZE)
            coded.number[bounded_rows] = vector_starts[bounded_rows]
            vectors[vector_starts[bounded_rows][:, None] + np.arange(BOUNDED_SIZE)] = bounded
        for size in (np.flatnonzero(np.bincount(sizes)[1:]) + 1).tolist():
            rows = np.flatnonzero(sizes == size)
            places = first[rows][:, None] + np.arange(size)
            if size > 1:
                self.not_one += int((np.abs(values[places].sum(axis=1) - 1.0) > TOLERANCE).sum())
            for members, example in _alike(stream[rows], indices[places]):
                said = [names[i] for i in indices[places[example]]]
                model = stream_names[stream[rows[example]]][0]
                order, class_keys = self._reading(model, said)
                chosen = rows[members]
                coded.scoring[chosen] = self._scoring(class_keys)
                probabilities = values[places[members][:, order]]
                if len(order) == 1:
                    coded.number[chosen] = probabilities[:, 0]
                else:
                    coded.number[chosen] = vector_starts[chosen]
                    vectors[vector_starts[chosen][:, None] + np.arange(size)] = probabilities
        return CodedScores(coded.scoring, coded.number, vectors, np.flatnonzero(vector_sizes))

    def _reading(self, model: str, said: list[str]) -> tuple[list[int], tuple[int, ...]]:
        """Return which of the scores are kept, as places in ``said``, and their class keys."""
        order = sorted(range(len(said)), key=said.__getitem__)
        if len(said) <= 2:
            positive = self._models[model].positive if model in self._models else None
            order = [said.index(positive)] if positive in said else order[-1:]
        return order, tuple(text_key(said[i], self._classes) for i in order)

    def _scoring(self, class_keys: tuple[int, ...]) -> int:
        code = self._codes.get(class_keys)
        if code is None:
            code = self._codes[class_keys] = len(self._codes)
            self._class_keys += class_keys
            self._offsets.append(len(self._class_keys))
            self._view = Scorings(np.array(self._offsets, np.int64), np.array(self._class_keys, np.int64))
        return code


def _alike(stream: CodeArray, keys: IntArray) -> list[tuple[IntArray, int]]:
    """Return the rows of each stream and sequence of keys, and one of them; ``keys`` has shape ``(n, k)``."""
    group = stream.astype(np.int64)
    for column in keys.T:
        if len(column) and (column != column[0]).any():
            _, group = np.unique(group * (int(column.max()) + 1) + column, return_inverse=True)
    if (group == group[0]).all():
        return [(np.arange(len(group)), 0)]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=group[order[0]] - 1))
    return [(members, int(members[0])) for members in np.split(order, starts[1:])]
