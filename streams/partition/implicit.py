"""Implicit labels: which model gives which, and which predictions they fall due for, when."""

from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from math import isfinite, nan

import numpy as np
import numpy.typing as npt

from schemas.records import IntArray
from schemas.settings import ModelSettings
from streams.codes.classes import text_key
from streams.codes.names import Names
from streams.join.implicit import Implicit

Places = npt.NDArray[np.uint32]  # the low half of predictions' sequence numbers: four bytes while they wait


class ImplicitSettings:
    """What ``[models.NAME]`` says of implicit labels."""

    def __init__(self, models: Mapping[str, ModelSettings]) -> None:
        self._models = {name: model for name, model in models.items() if model.implicit_label is not None}
        self.longest_ms = max((model.implicit_after_ms for model in self._models.values()), default=0)

    def __bool__(self) -> bool:
        return bool(self._models)

    def by_stream(self, stream_names: list[tuple[str, str]], classes: Names) -> Implicit:
        """Return the implicit label of every stream; ``after_ms`` is -1 where there is none."""
        given = Implicit.none(len(stream_names) if self._models else 0)
        for stream, (model, _) in enumerate(stream_names):
            said = self._models.get(model)
            if said is not None and said.implicit_label is not None:
                given.after_ms[stream] = said.implicit_after_ms
                given.class_key[stream] = text_key(said.implicit_label, classes)
                given.number[stream] = _number(said.implicit_label)
        return given


class DueQueue:
    """Predictions by the time at which their implicit labels fall due, in bins as wide as a pane.

    Within a bin they are ordered only once time is inside it: until then a prediction takes four bytes.

    Examples
    --------
    >>> queue = DueQueue(1_000)
    >>> due_ms = np.array([2_500, 1_000, 2_000])
    >>> queue.add(due_ms, np.array([0, 1, 2]))
    >>> [sorted(queue.take(ms, lambda places: due_ms[places]).tolist()) for ms in (999, 2_200, 2_500)]
    [[], [1, 2], [0]]
    """

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self._bins: dict[int, list[Places]] = {}
        self._order: list[int] = []  # a heap of the bins' numbers
        self._waiting = 0  # in bins
        self._open_due: IntArray = np.zeros(0, np.int64)
        self._open: Places = np.zeros(0, np.uint32)

    @property
    def nbytes(self) -> int:
        return 4 * self._waiting + 12 * len(self._open)

    def add(self, due_ms: IntArray, seq: IntArray) -> None:
        """Take in predictions by their sequence numbers, shape ``(n,)`` each."""
        # A bin is open on its left: at a pane's end, where time mostly stops, all of a bin is due or nothing.
        bins = (due_ms - 1) // self._width_ms
        places = (seq & 0xFFFFFFFF).astype(np.uint32)
        self._waiting += len(places)
        if len(bins) and (bins == bins[0]).all():
            self._append(int(bins[0]), places)
            return
        order = np.argsort(bins, kind="stable")
        starts = np.flatnonzero(np.diff(bins[order])) + 1
        for part in np.split(order, starts):
            if len(part):
                self._append(int(bins[part[0]]), places[part])

    def take(self, until_ms: int, due_of: Callable[[Places], IntArray]) -> Places:
        """Remove and return what falls due at or before ``until_ms``, in any order."""
        partly = until_ms // self._width_ms
        if not len(self._open) and (not self._order or self._order[0] > partly):
            return self._open
        out: list[Places] = []
        while self._order and self._order[0] <= partly:
            number = heappop(self._order)
            parts = self._bins.pop(number)
            self._waiting -= sum(map(len, parts))
            if number < partly:
                out += parts
            else:
                self._open = np.concatenate([self._open, *parts])
                self._open_due = due_of(self._open)
                order = np.argsort(self._open_due, kind="stable")
                self._open, self._open_due = self._open[order], self._open_due[order]
        end = int(np.searchsorted(self._open_due, until_ms, "right"))
        out.append(self._open[:end])
        self._open, self._open_due = self._open[end:], self._open_due[end:]
        return np.concatenate(out)

    def keep(self, there: Callable[[Places], npt.NDArray[np.bool_]]) -> int:
        """Forget predictions that are no longer ``there``; return how many that were."""
        gone = 0
        for number, parts in self._bins.items():
            whole = np.concatenate(parts)
            kept = whole[there(whole)]
            gone += len(whole) - len(kept)
            self._bins[number] = [kept]
        self._waiting -= gone
        kept_open = there(self._open)
        gone += len(kept_open) - int(kept_open.sum())
        self._open, self._open_due = self._open[kept_open], self._open_due[kept_open]
        return gone

    def _append(self, number: int, places: Places) -> None:
        parts = self._bins.get(number)
        if parts is None:
            parts = self._bins[number] = []
            heappush(self._order, number)
        # Sizes that at least double from part to part: few parts, and each element moves log2(n) times.
        while parts and len(parts[-1]) <= 2 * len(places):
            places = np.concatenate([parts.pop(), places])
        parts.append(places)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return nan
    return number if isfinite(number) else nan
