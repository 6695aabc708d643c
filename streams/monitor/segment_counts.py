"""Errors of every segment around now, so that a change can say who carries it; counts only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.coded import FloatArray, HashArray
from schemas.settings import DAY_MS

MOST_NAMED = 10
LEAST_SHARE = 0.01  # of the change; what is below is noise, or none of the segment's doing
COLUMNS = ("class_n", "hits", "reg_n", "abs_err_sum")
Counts = npt.NDArray[np.float32]


@dataclass(slots=True)
class Day:
    """One partition's rows of a day: newest revision and counts per pane; 34 kB at panes of a minute."""

    revisions: HashArray
    counts: Counts  # shape (panes, len(COLUMNS))


@dataclass(slots=True)
class SegmentDays:
    days: dict[tuple[int, int], Day] = field(default_factory=dict)  # by day and partition


class SegmentCounts:
    """Keeps of every segment's rows the counts of errors, newest revision per pane and partition."""

    def __init__(self, pane_width_ms: int) -> None:
        self._width_ms = pane_width_ms
        self._panes = max(1, DAY_MS // pane_width_ms)
        self._models: dict[tuple[str, str], dict[str, SegmentDays]] = {}
        self._floors: dict[str, int] = {}

    def absorb(self, rows: pa.RecordBatch) -> None:
        """Take in rows of the schema ``PANE_COLUMNS``."""
        names = [rows.column(name).to_pylist() for name in ("model", "model_version", "segment", "partition")]
        starts = rows.column("pane_start").cast(pa.int64()).to_pylist()
        revisions = rows.column("revision").to_pylist()
        counts = np.stack([rows.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS], 1)
        for i, (model, version, segment, partition) in enumerate(zip(*names, strict=True)):
            day, within_ms = divmod(starts[i], DAY_MS)
            if day < self._floors.get(model, day):
                continue
            kept = self._models.setdefault((model, version), {}).setdefault(segment, SegmentDays()).days
            known = kept.get((day, partition))
            if known is None:
                known = kept[day, partition] = Day(
                    np.zeros(self._panes, np.uint64), np.zeros((self._panes, len(COLUMNS)), np.float32)
                )
            pane = min(within_ms // self._width_ms, self._panes - 1)
            if revisions[i] >= int(known.revisions[pane]):
                known.revisions[pane] = revisions[i]
                known.counts[pane] = counts[i]

    def drop(self, model: str, before_ms: int) -> None:
        """Drop a model's days that ended by a time, and versions of which nothing is left."""
        floor = self._floors[model] = max(before_ms // DAY_MS, self._floors.get(model, 0))
        for key in [key for key in self._models if key[0] == model]:
            segments = self._models[key]
            for segment in list(segments):
                kept = segments[segment].days
                for at in [at for at in kept if at[0] < floor]:
                    del kept[at]
                if not kept:
                    del segments[segment]
            if not segments:
                del self._models[key]

    def shares(
        self,
        model: str,
        model_version: str,
        before: tuple[int, int],
        after: tuple[int, int],
        regression: bool,
    ) -> dict[str, float]:
        """Return which part of a change of the error each segment carries, the largest first.

        Parameters
        ----------
        before, after
            Spans of event time on both sides of the change, in milliseconds.

        Returns
        -------
        dict
            By "name=value". What a segment has in errors beyond its own rate before, as a part of the same
            over all traffic. The values of one name add up to about 1, but for those below 1 %.
        """
        segments = self._models.get((model, model_version), {})
        known = {
            name: (self._sum(s, before, regression), self._sum(s, after, regression))
            for name, s in segments.items()
        }
        if "" not in known:
            return {}
        (all_n, all_errors), _ = known[""]
        usual = all_errors / all_n if all_n else 0.0
        beyond = {
            name: errors - n * (errors_before / n_before if n_before else usual)
            for name, ((n_before, errors_before), (n, errors)) in known.items()
        }
        total = beyond.pop("")
        if not total:
            return {}
        return _largest({name: float(part / total) for name, part in beyond.items()})

    def _sum(self, segment: SegmentDays, span: tuple[int, int], regression: bool) -> FloatArray:
        total = np.zeros(len(COLUMNS))
        for (day, _), kept in segment.days.items():
            first, last = (
                min(max((at_ms - day * DAY_MS) // self._width_ms, 0), self._panes) for at_ms in span
            )
            total += kept.counts[first:last].sum(0, dtype=np.float64)
        class_n, hits, reg_n, errors = total
        return np.array([reg_n, errors]) if regression else np.array([class_n, class_n - hits])


def _largest(shares: Mapping[str, float]) -> dict[str, float]:
    order = sorted(shares, key=lambda name: (-shares[name], name))
    return {name: shares[name] for name in order[:MOST_NAMED] if shares[name] >= LEAST_SHARE}
