"""The panes of one partition: what predictions and labelled pairs add up to, per stream, segment and pane."""

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from schemas.coded import CodeArray, CodedPredictions, FloatArray, PairChanges, Profiles
from schemas.panes import CALIBRATION_BINS, CONFIDENCE_BINS
from schemas.records import IntArray
from streams.panes import kernels
from streams.panes.exact_sums import ADDITIONS_BEFORE_CARRY, DIGITS
from streams.panes.layout import (
    BIN,
    CELL,
    LABEL_SQ,
    MOST_SEGMENTS,
    MOST_STREAMS,
    N_COUNTS,
    N_SUMS,
    PANE_BITS,
    SCORE_SUMS,
    SEGMENT_BITS,
    WIDE,
)
from streams.panes.pools import kernels as pools
from streams.panes.terms.kernels import carry_all

Wide = dict[tuple[int, int], dict[tuple[float, float], int]]  # (row, sum): (term, weight): how often


class PaneStore:
    """Cumulative, additive, exactly reversible accumulators.

    Parameters
    ----------
    width_ms
        Of a pane. Pane ``k`` is ``[k * width_ms, (k + 1) * width_ms)`` in event time.
    """

    def __init__(self, width_ms: int) -> None:
        self.width_ms = width_ms
        self._table = np.full(2048, -1, np.int32)
        self._allocate(1024)
        self._bins, self._bin_table = np.empty(4096, BIN), np.full(8192, -1, np.int32)
        self._cells, self._cell_table = np.empty(4096, CELL), np.full(8192, -1, np.int32)
        self._used = np.zeros(5, np.int64)  # rows, bins, cells, wide terms, rows with scored pairs
        self._allocate_scores(0)
        self._wide = np.empty(256, WIDE)
        self._kept_apart: Wide = defaultdict(dict)
        self._additions = 0

    def _allocate(self, rows: int) -> None:
        self._keys = np.zeros(rows, np.int64)
        self._counts = np.zeros((rows, N_COUNTS), np.int64)
        self._sums = np.zeros((rows, N_SUMS, DIGITS), np.int64)
        self._dirty = np.zeros(rows, np.uint8)
        self._first_bin = np.full(rows, -1, np.int64)
        self._first_cell = np.full(rows, -1, np.int64)
        self._score_row = np.full(rows, -1, np.int32)  # place in the arrays of scores

    def _allocate_scores(self, rows: int) -> None:
        self._score_sums = np.zeros((rows, len(SCORE_SUMS), DIGITS), np.int64)
        self._calibration = np.zeros((rows, CALIBRATION_BINS, 3), np.int64)
        self._confidence = np.zeros((rows, CONFIDENCE_BINS, 3), np.int64)

    def __len__(self) -> int:
        return int(self._used[0])

    @property
    def nbytes(self) -> int:
        rows = len(self) * (8 + 1 + 20 + 8 * N_COUNTS + 8 * N_SUMS * DIGITS)
        rows += int(self._used[4]) * 8 * (len(SCORE_SUMS) * DIGITS + 3 * (CALIBRATION_BINS + CONFIDENCE_BINS))
        tables = self._table.nbytes + self._bin_table.nbytes + self._cell_table.nbytes
        return rows + tables + int(self._used[1]) * BIN.itemsize + int(self._used[2]) * CELL.itemsize

    def add_predictions(
        self, batch: CodedPredictions, taken: IntArray, duplicates: IntArray, profiles: Profiles
    ) -> None:
        """Count predictions: rows ``taken`` of the batch, and rows ``duplicates`` as repeats."""
        rows = np.concatenate([taken, duplicates])
        repeat = np.zeros(len(rows), np.uint8)
        repeat[len(taken) :] = 1
        columns = [
            column[rows]
            for column in (
                batch.time_ms,
                batch.profile,
                batch.number,
                batch.latency_ms,
                batch.cost,
                batch.status,
            )
        ]
        scorings = profiles.scorings
        self._run(
            kernels.add_predictions,
            batch.profile[rows],
            lambda: (
                *columns, repeat, batch.vectors, profiles.scoring, scorings.offsets, scorings.class_keys,
                self._score_row, self._confidence,
            ),
            profiles,
        )  # fmt: skip

    def add_pairs(self, changes: PairChanges, profiles: Profiles, vectors: FloatArray) -> None:
        """Count labelled pairs, or take them back, by their sign.

        ``vectors`` is the ring of the probabilities of many classes (streams.join.vectors).
        """
        scorings = profiles.scorings
        self._run(
            kernels.add_pairs,
            changes["profile"],
            lambda: (
                changes, vectors, profiles.scoring, scorings.offsets, scorings.class_keys,
                self._score_row, self._score_sums, self._calibration, self._confidence,
            ),
            profiles,
        )  # fmt: skip

    def _run(
        self,
        kernel: Callable[..., int],
        profile: CodeArray,
        columns: Callable[[], tuple[np.ndarray, ...]],
        profiles: Profiles,
    ) -> None:
        n = len(profile)
        if not n:
            return
        if int(profiles.stream.max()) >= MOST_STREAMS:
            raise OverflowError(f"one partition holds at most {MOST_STREAMS} models and versions")
        self._additions += 4 * n  # of one pair to one sum: a weighted square is four terms
        if self._additions > ADDITIONS_BEFORE_CARRY:
            carry_all(self._sums, len(self))
            carry_all(self._score_sums, int(self._used[4]))
            self._additions = 4 * n
        begin = 0
        while begin < n:
            begin = kernel(
                begin, *columns(), self.width_ms,
                profiles.stream, profiles.class_key, profiles.flags, profiles.segment_offsets,
                profiles.segments,
                self._table, self._keys, self._counts, self._sums, self._dirty,
                self._bins, self._bin_table, self._first_bin,
                self._cells, self._cell_table, self._first_cell, self._wide, self._used,
            )  # fmt: skip
            self._set_wide_apart()
            if begin < n:
                p = profile[begin]
                needed = int(profiles.segment_offsets[p + 1] - profiles.segment_offsets[p]) + 1
                s = profiles.scoring[p]
                offsets = profiles.scorings.offsets
                self._grow(needed, 1 if s < 0 else int(offsets[s + 1] - offsets[s]))

    def _set_wide_apart(self) -> None:
        for term in self._wide[: self._used[3]]:
            apart = self._kept_apart[int(term["row"]), int(term["sum"])]
            x = float(term["x"]), float(term["weight"])
            apart[x] = apart.get(x, 0) + int(term["sign"])
            if not apart[x]:
                del apart[x]
        self._used[3] = 0

    def _grow(self, needed: int, scores: int) -> None:
        rows, bins, cells, _, scored = (int(n) for n in self._used)
        if rows + needed > len(self._keys):
            if self._segments_in_use() >= MOST_SEGMENTS:
                raise OverflowError(f"one partition holds at most {MOST_SEGMENTS} segment values")
            old = self._row_arrays()
            self._allocate(2 * len(self._keys) + needed)
            for new, kept in zip(self._row_arrays(), old, strict=True):
                new[:rows] = kept[:rows]
            self._table = np.full(1 << int(np.ceil(np.log2(2 * len(self._keys)))), -1, np.int32)
            pools.refill_rows(self._table, self._keys, rows)
        same = np.arange(len(self._keys), dtype=np.int64)
        if bins + needed > len(self._bins):
            self._move_bins(2 * len(self._bins) + needed, same)
        new_cells = (2 + scores) * needed
        if cells + new_cells > len(self._cells):
            self._move_cells(2 * len(self._cells) + new_cells, same)
        if scored + needed > len(self._calibration):
            old = self._score_arrays()
            self._allocate_scores(2 * scored + needed)
            for new, kept in zip(self._score_arrays(), old, strict=True):
                new[:scored] = kept[:scored]
        if 8 * needed > len(self._wide):
            self._wide = np.empty(16 * needed, WIDE)

    def _row_arrays(self) -> tuple[np.ndarray, ...]:
        return (
            self._keys, self._counts, self._sums, self._dirty, self._first_bin, self._first_cell,
            self._score_row,
        )  # fmt: skip

    def _score_arrays(self) -> tuple[np.ndarray, ...]:
        return self._score_sums, self._calibration, self._confidence

    def _move_bins(self, room: int, new_row: IntArray) -> None:
        old, self._bins = self._bins, np.empty(room, BIN)
        self._bin_table = np.empty(_table_size(room), np.int32)
        pools.move_bins(old, self._bins, self._bin_table, self._first_bin, new_row, self._used)

    def _move_cells(self, room: int, new_row: IntArray) -> None:
        old, self._cells = self._cells, np.empty(room, CELL)
        self._cell_table = np.empty(_table_size(room), np.int32)
        pools.move_cells(old, self._cells, self._cell_table, self._first_cell, new_row, self._used)

    def _segments_in_use(self) -> int:
        return int((self._keys[: len(self)] & (MOST_SEGMENTS - 1)).max(initial=0)) + 1

    # -- reading -------------------------------------------------------------------------------------------

    def changed_rows(self) -> IntArray:
        """Return the rows that changed since ``mark_read``, shape ``(n,)``."""
        return np.flatnonzero(self._dirty[: len(self)])

    def rows(self) -> IntArray:
        return np.arange(len(self))

    def mark_read(self, rows: IntArray) -> None:
        self._dirty[rows] = 0

    def keys_of(self, rows: IntArray) -> tuple[CodeArray, IntArray, CodeArray]:
        """Return (stream, pane number, segment) of rows, shape ``(n,)`` each."""
        keys = self._keys[rows]
        stream = keys >> (PANE_BITS + SEGMENT_BITS)
        pane = (keys >> SEGMENT_BITS) & ((1 << PANE_BITS) - 1)
        return stream.astype(np.int32), pane, (keys & (MOST_SEGMENTS - 1)).astype(np.int32)

    def counts_of(self, rows: IntArray) -> IntArray:
        """Return the counts of rows, shape ``(n, N_COUNTS)``."""
        return self._counts[rows]

    def sums_of(self, rows: IntArray) -> IntArray:
        """Return the digits of rows' exact sums, shape ``(n, N_SUMS, DIGITS)``."""
        return self._sums[rows]

    def scores_of(self, rows: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return the digits of SCORE_SUMS and the bins of calibration and confidence of rows.

        Zeros where nothing was scored.
        """
        place = self._score_row[rows]
        digits, calibration, confidence = (
            np.zeros((len(rows), *array.shape[1:]), np.int64) for array in self._score_arrays()
        )
        for out, array in zip((digits, calibration, confidence), self._score_arrays(), strict=True):
            out[place >= 0] = array[place[place >= 0]]
        return digits, calibration, confidence

    def kept_apart(self, rows: IntArray) -> dict[tuple[int, int], Fraction | float]:
        """Return, by (place in ``rows``, sum), what the terms that did not fit into its digits add up to."""
        if not self._kept_apart:
            return {}
        place = {int(row): i for i, row in enumerate(rows)}
        return {
            (place[row], which): _total(terms, square=which == LABEL_SQ)
            for (row, which), terms in self._kept_apart.items()
            if row in place and terms
        }

    def bins_of(self, rows: IntArray) -> np.ndarray:
        """Return the bins of rows, dtype BIN, ``key`` being place in ``rows`` << 16 | kind << 15 | bin."""
        bins = self._linked(rows, self._bins, self._first_bin, 16)
        counted: np.ndarray = bins[bins["n"] != 0]
        return counted

    def cells_of(self, rows: IntArray) -> np.ndarray:
        """Return the cells of rows, dtype CELL, ``key`` being place in ``rows`` << 3 | kind."""
        cells = self._linked(rows, self._cells, self._first_cell, 3)
        counted: np.ndarray = cells[(cells["n"] != 0) | (cells["m"] != 0)]
        return counted

    @staticmethod
    def _linked(rows: IntArray, pool: np.ndarray, first: IntArray, shift: int) -> np.ndarray:
        out = np.empty(pools.count_linked(rows, pool, first), pool.dtype)
        pools.collect_linked(rows, pool, first, shift, out)
        return out

    # -- forgetting ----------------------------------------------------------------------------------------

    def rows_below(self, floor_ms: int) -> IntArray:
        """Return the rows of panes that start below ``floor_ms``."""
        _, pane, _ = self.keys_of(self.rows())
        return np.flatnonzero(pane * self.width_ms < floor_ms)

    def drop(self, rows: IntArray) -> None:
        """Forget rows; the others move together."""
        if not len(rows):
            return
        keep = np.ones(len(self), bool)
        keep[rows] = False
        new_row = np.where(keep, np.cumsum(keep) - 1, -1)
        count = int(keep.sum())
        for array in self._row_arrays():
            array[:count] = array[: len(self)][keep]
            array[count : len(self)] = 0
        self._score_row[count : len(self)] = -1
        self._drop_scores(count)
        self._used[0] = count
        pools.refill_rows(self._table, self._keys, count)
        self._move_bins(len(self._bins), new_row)
        self._move_cells(len(self._cells), new_row)
        self._kept_apart = defaultdict(
            dict,
            {
                (int(new_row[row]), which): terms
                for (row, which), terms in self._kept_apart.items()
                if new_row[row] >= 0
            },
        )

    def _drop_scores(self, rows: int) -> None:
        kept = np.flatnonzero(self._score_row[:rows] >= 0)
        place = self._score_row[kept]
        for array in self._score_arrays():
            array[: len(kept)] = array[place]
            array[len(kept) : int(self._used[4])] = 0
        self._score_row[kept] = np.arange(len(kept))
        self._used[4] = len(kept)


def _total(terms: dict[tuple[float, float], int], *, square: bool) -> Fraction | float:
    infinite = [(x, n) for (x, _), n in terms.items() if not np.isfinite(x)]
    if infinite:
        return float(sum(x * np.sign(n) for x, n in infinite))
    power = 2 if square else 1
    return sum((Fraction(x) ** power * Fraction(w) * n for (x, w), n in terms.items()), Fraction(0))


def _table_size(room: int) -> int:
    return 1 << int(np.ceil(np.log2(room / 0.6)))
