"""Rows of pane-updates back to what they add up to."""

import numpy as np
import pyarrow as pa

from schemas.panes import CLASS_BINS, COUNTS, HISTOGRAMS, MAPS, SUMS, WEIGHT_UNITS, PaneSums
from schemas.records import IntArray


class PaneReader:
    """Reads rows of a batch with the schema ``PANE_COLUMNS`` one by one, its columns taken apart once."""

    def __init__(self, rows: pa.RecordBatch) -> None:
        column = rows.column
        self._counts = [(name, np.asarray(column(name))) for name in COUNTS]
        self._sums = [(name, np.asarray(column(name))) for name in SUMS]
        self._maps = [(name, _Maps(column(name))) for name in MAPS]
        self._histograms = [(name, _Lists(column(name))) for name in HISTOGRAMS]
        self._class_bins = [(name, _ClassBins(column(name))) for name in CLASS_BINS]
        self._examples = column("examples")

    def read(self, index: int) -> PaneSums:
        """Return what the row at ``index`` adds up to."""
        counts = {name: int(values[index]) for name, values in self._counts}
        sums = {name: float(values[index]) for name, values in self._sums}
        weight = counts["reg_n"] + counts["reg_extra"] / WEIGHT_UNITS
        return PaneSums(
            counts=counts,
            terms={name: [x] if x else [] for name, x in sums.items()},
            maps={name: maps.at(index) for name, maps in self._maps},
            histograms={name: lists.at(index) for name, lists in self._histograms},
            class_bins={name: bins.at(index) for name, bins in self._class_bins},
            moments=[(weight, sums["label_sum"], sums["label_m2"])] if weight else [],
            examples=self._examples[index].as_py(),
        )


def read_panes(rows: pa.RecordBatch) -> list[PaneSums]:
    """Return one ``PaneSums`` per row of a batch with the schema ``PANE_COLUMNS``, in its order."""
    reader = PaneReader(rows)
    return [reader.read(index) for index in range(rows.num_rows)]


class _Lists:
    def __init__(self, column: pa.ListArray) -> None:
        self._bounds = np.asarray(column.offsets).tolist()
        self._values = np.asarray(column.values, dtype=np.int64)

    def at(self, index: int) -> IntArray:
        return self._values[self._bounds[index] : self._bounds[index + 1]]


class _Maps:
    def __init__(self, column: pa.MapArray) -> None:
        self._bounds = np.asarray(column.offsets).tolist()
        self._keys, self._counts = column.keys, np.asarray(column.items)

    def at(self, index: int) -> dict[str, int]:
        begin, end = self._bounds[index], self._bounds[index + 1]
        if begin == end:
            return {}
        keys = self._keys.slice(begin, end - begin).to_pylist()
        return dict(zip(keys, self._counts[begin:end].tolist(), strict=True))


class _ClassBins:
    def __init__(self, column: pa.MapArray) -> None:
        self._bounds = np.asarray(column.offsets).tolist()
        self._classes, self._bins = column.keys, _Lists(column.items)

    def at(self, index: int) -> dict[str, IntArray]:
        begin, end = self._bounds[index], self._bounds[index + 1]
        if begin == end:
            return {}
        classes = self._classes.slice(begin, end - begin).to_pylist()
        return {name: self._bins.at(begin + i) for i, name in enumerate(classes)}
