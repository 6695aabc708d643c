"""What a pane's sums say of each signal: wrong answers, and ranks against what was usual at first."""

from collections.abc import Mapping

import numpy as np

from schemas.coded import FloatArray
from schemas.findings import Task
from schemas.panes import PaneSums, add_bins
from schemas.records import IntArray
from schemas.settings import DAY_MS
from schemas.signals import Signal, SignalKey, SignalPane

REFERENCE_MS = DAY_MS  # a reference holds a whole day: its ranks are those of night and noon
REFERENCE_VALUES = 1000
LEAST_LABELS = 30  # of one outcome, for its ages to have ranks

Outcome = tuple[str, str]  # "age_hits" or "age_misses", predicted class
ALL: Outcome = ("", "")


def error_pane(start_ms: int, end_ms: int, sums: PaneSums, task: Task, segment: str = "") -> SignalPane:
    """Return what the errors of a pane add up to: wrong answers, or absolute errors.

    Labels that were sampled count by what they weigh, as in ``model_quality``.
    """
    key = SignalKey("error", segment)
    if task == "regression":
        n = sums.counts["reg_n"]
        return SignalPane(key, start_ms, end_ms, n, sums.total("abs_err_sum"), sums.total("sq_err_sum"))
    n = sums.counts["class_n"]
    weight = sums.weight("class")
    wrong = n * (1.0 - sums.weight("hits") / weight) if weight > 0 else 0.0
    return SignalPane(key, start_ms, end_ms, n, wrong, wrong)


def mid_ranks(counts: IntArray) -> FloatArray:
    """Return for each bin the share of values below it and half of its own, in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> mid_ranks(np.array([2, 0, 2])).tolist()
    [0.25, 0.5, 0.75]
    """
    ranks: FloatArray = (counts.cumsum() - counts / 2) / counts.sum()
    return ranks


class Ranks:
    """Ranks of bins against those of the first day, each outcome against its own."""

    def __init__(self) -> None:
        self._gathered: dict[Outcome, IntArray] = {}
        self._ranks: dict[Outcome, FloatArray] = {}
        self._since_ms: int | None = None
        self.ready = False

    def gather(self, start_ms: int, bins: Mapping[Outcome, IntArray]) -> bool:
        """Take in a pane of all traffic; return whether a day and enough values have come by now."""
        if self.ready:
            return True
        if self._since_ms is None:
            if not any(counts.any() for counts in bins.values()):
                return False
            self._since_ms = start_ms
        for outcome, counts in bins.items():
            known = self._gathered.get(outcome)
            self._gathered[outcome] = counts if known is None else add_bins([known, counts])
        values = {outcome: int(counts.sum()) for outcome, counts in self._gathered.items()}
        if start_ms < self._since_ms + REFERENCE_MS or sum(values.values()) < REFERENCE_VALUES:
            return False
        self.ready = True
        self._ranks = {
            outcome: mid_ranks(counts)
            for outcome, counts in self._gathered.items()
            if values[outcome] >= LEAST_LABELS
        }
        self._gathered.clear()
        return True

    def replace(self, counts: IntArray) -> None:
        """Take these counts for the first day's."""
        self._ranks = {ALL: mid_ranks(counts)}

    def sums(self, bins: Mapping[Outcome, IntArray]) -> tuple[int, float, float]:
        """Return how many values have ranks, the ranks' sum and sum of squares; 0 until ready."""
        n, total, squares = 0, 0.0, 0.0
        for outcome, counts in bins.items():
            ranks = self._ranks.get(outcome)
            if ranks is None or not counts.any():
                continue
            # Beyond the largest bin of the reference is rank 1.
            wide = np.ones(len(counts))
            wide[: len(ranks)] = ranks[: len(counts)]
            n += int(counts.sum())
            total += float(counts @ wide)
            squares += float(counts @ wide**2)
        return n, total, squares


class ClassBins:
    """Predicted classes as bins: the most frequent of the first day first, those new since in the last."""

    def __init__(self) -> None:
        self._gathered: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self.ranks = Ranks()

    def gather(self, start_ms: int, predicted: Mapping[str, int]) -> None:
        """Take in a pane of all traffic."""
        if self.ranks.ready:
            return
        for name, count in predicted.items():
            self._gathered[name] = self._gathered.get(name, 0) + count
        if self.ranks.gather(start_ms, {ALL: np.array([sum(predicted.values())], np.int64)}):
            order = sorted(self._gathered, key=lambda name: (-self._gathered[name], name))
            self._places = {name: i for i, name in enumerate(order)}
            self.ranks.replace(np.array([self._gathered[name] for name in order], np.int64))

    def bins(self, predicted: Mapping[str, int]) -> IntArray:
        counts = np.zeros(len(self._places) + 1, np.int64)
        for name, count in predicted.items():
            counts[self._places.get(name, len(self._places))] += count
        return counts


class PaneSignals:
    """The signals of one model version; references are those of all traffic, for segments too."""

    def __init__(self) -> None:
        self._delay, self._score, self._latency = Ranks(), Ranks(), Ranks()
        self._classes = ClassBins()

    def of_labels(
        self, start_ms: int, end_ms: int, scopes: Mapping[str, PaneSums], task: Task
    ) -> list[SignalPane]:
        """Return ``error`` and ``label_delay`` of a mature pane, by segment; '' is all traffic."""
        panes = [error_pane(start_ms, end_ms, sums, task, segment) for segment, sums in scopes.items()]
        # Each outcome against its own ages: a pooled curve moves with every real change of the error.
        ages = {
            segment: {
                (name, predicted): bins
                for name in ("age_hits", "age_misses")
                for predicted, bins in sums.class_bins[name].items()
            }
            for segment, sums in scopes.items()
        }
        return panes + _ranked("label_delay", self._delay, start_ms, end_ms, ages)

    def without_labels(
        self, start_ms: int, end_ms: int, scopes: Mapping[str, PaneSums], task: Task
    ) -> list[SignalPane]:
        """Return ``prediction``, ``score`` and ``latency`` of a closed pane, by segment."""
        scores = {segment: {ALL: sums.histograms["confidence_all"]} for segment, sums in scopes.items()}
        times = {segment: {ALL: sums.histograms["latency"]} for segment, sums in scopes.items()}
        panes = _ranked("score", self._score, start_ms, end_ms, scores)
        panes += _ranked("latency", self._latency, start_ms, end_ms, times)
        if task == "regression":
            return panes
        was_ready = self._classes.ranks.ready
        self._classes.gather(start_ms, scopes[""].maps["predicted"])
        if not was_ready:
            return panes
        classes = {
            segment: {ALL: self._classes.bins(sums.maps["predicted"])} for segment, sums in scopes.items()
        }
        return panes + _ranked("prediction", self._classes.ranks, start_ms, end_ms, classes)


def _ranked(
    signal: Signal,
    ranks: Ranks,
    start_ms: int,
    end_ms: int,
    scopes: Mapping[str, Mapping[Outcome, IntArray]],
) -> list[SignalPane]:
    if not ranks.ready:
        ranks.gather(start_ms, scopes[""])
        return []
    return [
        SignalPane(SignalKey(signal, segment), start_ms, end_ms, *sums)
        for segment, bins in scopes.items()
        if (sums := ranks.sums(bins))[0]
    ]
