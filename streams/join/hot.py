"""The hot join: predictions and labels of one partition above its floor, and what their meeting changes.

Semantics: a label applies to every prediction with its id (and model, if it names one). Of several labels the
one with the latest timestamp is in force, then the larger one, never the one that happened to arrive last.
"""

from dataclasses import dataclass

import numpy as np

from schemas.coded import (
    NO_CLASS,
    PAIR_CHANGE,
    TRUE_KEY,
    CodedLabels,
    CodedPredictions,
    FloatArray,
    PairChanges,
    Profiles,
)
from schemas.columns import BOOLEAN
from streams.join import kernels
from streams.join.implicit import Implicit
from streams.join.implicit import kernels as implicit_kernels
from streams.join.layout import (
    COUNTERS,
    L_FIRST,
    L_HEAD,
    L_NEXT,
    LABEL,
    P_COUNT,
    P_FIRST,
    P_HEAD,
    PAIR,
    PAIR_FREE,
    PAIRS,
    POSITIONS,
    PREDICTION,
    VECTORS_FIRST,
)
from streams.join.pages import Pages
from streams.join.vectors import Vectors

FIRST_ROWS = 1 << 16  # of pages that take memory only once they are used
LOAD = 0.7  # of a hash table; above it, linear probing walks too far
_NO_ANSWERS = np.zeros((0, 3), np.int64)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What codes stand for, as far as the join has to know: models, and how texts order.

    ``text_numbers`` is the number that a text writes canonically and that has no integer's code, else NaN.
    """

    profiles: Profiles
    stream_model: np.ndarray
    text_ranks: np.ndarray
    text_numbers: np.ndarray
    source_ranks: np.ndarray
    class_texts: list[str]
    implicit: Implicit


@dataclass(frozen=True, slots=True)
class JoinResult:
    """What a batch did.

    ``outcome`` per prediction (streams.join.layout), pairs that changed, ``event`` of them being the row of
    the decoded batch, and labels, of dtype LABEL, that turned out to be no numbers where the model is a
    regression. ``early`` is the lowest offset of a label that met a prediction and whose record time is
    before the time of that, -1 where there is none.
    """

    outcome: np.ndarray
    changes: PairChanges
    dead_labels: np.ndarray
    early: int = -1


@dataclass(frozen=True, slots=True)
class JoinCounters:
    """Where everything went, since the start; they add up at any moment.

    Predictions handed in: ``accepted + duplicates + reused``, of which ``cold_predictions`` came below the
    floor. Labels handed in: ``labels + dead_labels``, with
    ``labels = waiting + joined + replaced + cold_labels``. Beside them, ``implicit`` labels were given, of
    which ``implicit_replaced`` gave way to a real one or a withdrawal.
    """

    accepted: int
    duplicates: int
    reused: int
    cold_predictions: int
    labels: int
    waiting: int
    joined: int
    replaced: int
    dead_labels: int
    cold_labels: int
    implicit: int = 0
    implicit_replaced: int = 0


class HotJoin:
    """Joins what is above the floor, in memory.

    Cost: one or two cache misses per event. Predictions and labels lie in rings in order of arrival, so that
    what falls below the floor leaves at the head; open-addressing tables find them by id.
    """

    def __init__(self, floor_ms: int) -> None:
        self.floor_ms = floor_ms
        self._predictions = Pages(FIRST_ROWS, PREDICTION)
        self._table = np.full(2048, -1, np.int32)
        self._labels = Pages(FIRST_ROWS, LABEL)
        self._label_table = np.full(2048, -1, np.int32)
        self._pairs = Pages(FIRST_ROWS, PAIR)
        self.vectors = Vectors()
        self._positions = np.zeros(POSITIONS, np.int64)
        self._positions[PAIR_FREE] = -1
        self._counters = np.zeros(COUNTERS, np.int64)

    @property
    def counters(self) -> JoinCounters:
        return JoinCounters(*self._counters.tolist())

    @property
    def waiting_predictions(self) -> int:
        """Predictions in memory, matched or not."""
        return int(self._positions[P_COUNT])

    @property
    def labels_in_memory(self) -> int:
        return int(self._positions[L_NEXT] - self._positions[L_FIRST])

    @property
    def prediction_bytes(self) -> int:
        """Memory that waiting predictions take, their hash table and vectors included."""
        rows = self.waiting_predictions * PREDICTION.itemsize
        return rows + self._table.nbytes + self.vectors.nbytes

    def add_predictions(self, batch: CodedPredictions, meaning: Meaning) -> JoinResult:
        """Take in predictions, in offset order."""
        n = len(batch)
        self._reserve_predictions(n)
        self._reserve_pairs(n)
        number = self._with_vectors(batch)
        outcome = np.empty(n, np.uint8)
        all_changes, all_dead = [], []
        answers, ask, begin = _NO_ANSWERS, np.full(3, -1, np.int64), 0
        while begin < n:
            changes = np.empty(n - begin, PAIR_CHANGE)
            dead = np.empty(self.labels_in_memory + 1, LABEL)
            ask[:2] = -1
            begin, n_changes, n_dead = kernels.add_predictions(
                batch.id_low, batch.id_high, batch.time_ms, batch.profile, number, begin, self.floor_ms,
                self._predictions.rows, self._table, self._labels.rows, self._label_table, self._pairs.rows,
                self._positions, self._counters,
                meaning.profiles.stream, meaning.profiles.flags, meaning.profiles.class_key,
                meaning.stream_model, meaning.text_ranks, meaning.text_numbers, meaning.source_ranks, answers,
                outcome, changes, dead, ask,
            )  # fmt: skip
            all_changes.append(changes[:n_changes])
            all_dead.append(dead[:n_dead])
            if ask[0] >= 0:
                answers = np.vstack([answers, self._answer(self._row(ask[0]), self._row(ask[1]), meaning)])
        changed = _joined(all_changes, PAIR_CHANGE)
        changed["event"] = batch.row[changed["event"]]
        return JoinResult(outcome, changed, _joined(all_dead, LABEL), int(ask[2]))

    def add_labels(self, batch: CodedLabels, meaning: Meaning) -> JoinResult:
        """Take in labels, in offset order; ``outcome`` of the result is empty."""
        n = len(batch)
        rows = np.empty(n, LABEL)
        kernels.pack_labels(
            batch.id_low, batch.id_high, batch.time_ms, batch.record_time_ms, batch.offset, batch.class_key,
            batch.number, batch.probability, batch.value, batch.model, batch.source, batch.kind, rows,
        )  # fmt: skip
        self._reserve_labels(n)
        room = 4 * n + 64
        all_changes, all_dead = [], []
        answers, ask, begin = _NO_ANSWERS, np.full(3, -1, np.int64), 0
        while begin < n:
            self._reserve_pairs(n)
            changes, dead = np.empty(room, PAIR_CHANGE), np.empty(n, LABEL)
            ask[:2] = -1
            start = begin
            begin, n_changes, n_dead = kernels.add_labels(
                rows, begin, self.floor_ms,
                self._predictions.rows, self._table, self._labels.rows, self._label_table, self._pairs.rows,
                self._positions, self._counters,
                meaning.profiles.stream, meaning.profiles.flags, meaning.profiles.class_key,
                meaning.stream_model, meaning.text_ranks, meaning.text_numbers, meaning.source_ranks, answers,
                meaning.implicit.after_ms, meaning.implicit.class_key, meaning.implicit.number,
                changes, dead, ask,
            )  # fmt: skip
            all_changes.append(changes[:n_changes])
            all_dead.append(dead[:n_dead])
            if ask[0] >= 0:
                answers = np.vstack([answers, self._answer(rows[begin], self._row(ask[0]), meaning)])
            elif begin == start:
                room *= 2  # one label that meets more predictions than there was room for
                self._reserve_pairs(room)
        changed, dead_labels = _joined(all_changes, PAIR_CHANGE), _joined(all_dead, LABEL)
        return JoinResult(np.empty(0, np.uint8), changed, dead_labels, int(ask[2]))

    @property
    def first_prediction(self) -> int:
        """The sequence number of the oldest prediction in memory."""
        return int(self._positions[P_FIRST])

    @property
    def next_prediction(self) -> int:
        """The sequence number that the next prediction above the floor gets."""
        return int(self._positions[P_FIRST] + self._positions[P_COUNT])

    def give_implicit(self, places: np.ndarray, meaning: Meaning) -> JoinResult:
        """Give predictions their implicit label, unless a label or a withdrawal met them already.

        ``places`` are the low halves of their sequence numbers, uint32.
        """
        changes = np.empty(len(places), PAIR_CHANGE)
        given = meaning.implicit
        n = implicit_kernels.give(
            places, self._predictions.rows, self._positions, self._counters, meaning.profiles.stream,
            given.after_ms, given.class_key, given.number, changes,
        )  # fmt: skip
        return JoinResult(np.empty(0, np.uint8), changes[:n], np.empty(0, LABEL))

    def implicit_due_ms(self, places: np.ndarray, meaning: Meaning) -> np.ndarray:
        """Return when implicit labels of predictions fall due, shape ``(n,)``."""
        due_ms = np.empty(len(places), np.int64)
        implicit_kernels.due(
            places, self._predictions.rows, self._positions, meaning.profiles.stream,
            meaning.implicit.after_ms, due_ms,
        )  # fmt: skip
        return due_ms

    def in_memory(self, places: np.ndarray) -> np.ndarray:
        """Return which predictions are still there and not below the floor, shape ``(n,)``."""
        ahead = (places.astype(np.int64) - self._positions[P_FIRST]) & 0xFFFFFFFF
        there = ahead < self._positions[P_COUNT]
        # A late one stands behind younger ones, and leaves memory only with them.
        slots = (self._positions[P_HEAD] + ahead[there]) % len(self._predictions.rows)
        there[there] = self._predictions.rows["time_ms"][slots] >= self.floor_ms
        return np.asarray(there)

    def raise_floor(self, floor_ms: int, profiles: Profiles) -> None:
        """Forget what is below ``floor_ms``; a floor only rises."""
        if floor_ms <= self.floor_ms:
            return
        self.floor_ms = floor_ms
        kernels.drop_below(
            floor_ms, self._predictions.rows, self._table, self._labels.rows, self._label_table,
            self._pairs.rows, self._positions, self._counters, profiles.scoring, profiles.scorings.offsets,
        )  # fmt: skip
        self.vectors.release(int(self._positions[VECTORS_FIRST]))

    def time_of_share(self, share: float) -> int:
        """Return the event time below which about ``share`` of the waiting predictions lie."""
        head, count = self._positions[P_HEAD], self._positions[P_COUNT]
        slots = (head + np.linspace(0, count - 1, 1024).astype(np.int64)) % len(self._predictions.rows)
        return int(np.quantile(self._predictions.rows["time_ms"][slots], share))

    def _with_vectors(self, batch: CodedPredictions) -> FloatArray:
        """Take in the probabilities of many classes; return ``number`` with the places they got."""
        if not len(batch.vectors):
            return batch.number
        if not self.waiting_predictions:
            self.vectors.release_all()
        number = batch.number.copy()
        number[batch.vector_rows] += self.vectors.append(batch.vectors)
        return number

    def _row(self, seq: int) -> np.void:
        slot = (self._positions[L_HEAD] + seq - self._positions[L_FIRST]) % len(self._labels.rows)
        row: np.void = self._labels.rows[slot].copy()
        return row

    def _answer(self, a: np.void, b: np.void, meaning: Meaning) -> list[list[int]]:
        first, second = (
            label_text(a, meaning.class_texts).encode(),
            label_text(b, meaning.class_texts).encode(),
        )
        sign = (first > second) - (first < second)
        return [
            [int(a["offset"]), int(b["offset"]), sign],
            [int(b["offset"]), int(a["offset"]), -sign],
        ]

    def _reserve_predictions(self, more: int) -> None:
        head, count = int(self._positions[P_HEAD]), int(self._positions[P_COUNT])
        moved = count + more > len(self._predictions.rows) and self._predictions.grow(
            (count + more) * 5 // 4, head, count
        )
        if moved or count + more > LOAD * len(self._table):
            self._table = _table(count + more)
            kernels.rebuild(self._table, self._predictions.rows, head, count)

    def _reserve_labels(self, more: int) -> None:
        head, count = int(self._positions[L_HEAD]), self.labels_in_memory
        moved = count + more > len(self._labels.rows) and self._labels.grow(
            (count + more) * 5 // 4, head, count
        )
        if moved or count + more > LOAD * len(self._label_table):
            self._label_table = _table(count + more)
            kernels.rebuild_labels(self._label_table, self._labels.rows, head, count)

    def _reserve_pairs(self, more: int) -> None:
        used = int(self._positions[PAIRS])
        if used + more > len(self._pairs.rows):
            self._pairs.grow((used + more) * 5 // 4, 0, used)


def _table(rows: int) -> np.ndarray:
    """Return an open-addressing table with room for ``rows``, with anything in it."""
    size = 1 << max(11, int(np.ceil(np.log2((rows + 1) / LOAD))))
    return Pages(size, np.dtype(np.int32), filled_at_once=True).rows


def _joined(parts: list[np.ndarray], dtype: object) -> np.ndarray:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, dtype)  # type: ignore[call-overload]


def label_text(label: np.void, class_texts: list[str]) -> str:
    """Return a label's canonical string."""
    key, kind, number = int(label["class_key"]), int(label["kind"]), float(label["number"])
    if kind == BOOLEAN:
        return "true" if key == TRUE_KEY else "false"
    if key == NO_CLASS:
        return repr(number)
    return str(key >> 1) if key % 2 == 0 else class_texts[key >> 1]
