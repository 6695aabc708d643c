"""Slots of features: the first MOST_FEATURES names of a stream are counted, the others named and left out."""

from dataclasses import dataclass

import numpy as np

from schemas.coded import CodeArray
from schemas.features import MOST_FEATURES
from schemas.records import IntArray
from streams.features.buffers import ScalarMaps
from streams.features.names import kernels

KEY_LISTS_KEPT = 8  # of which rows of a batch are compared with; more producers only cost time
MOST_NAMED = 1_000  # features left out that are known by name; those after them are counted together


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A feature beyond the first MOST_FEATURES of its model version; ``name`` '' stands for many."""

    model: str
    model_version: str
    name: str
    values: int


class Slots:
    """Gives features slots from 1 on, by stream, in the order in which they come.

    Parameters
    ----------
    stream_names
        Model and version by stream code; may grow.
    """

    def __init__(self, stream_names: list[tuple[str, str]]) -> None:
        self._streams = stream_names
        self._names: list[list[str]] = []  # by stream, those with a slot
        self._left_out: list[tuple[int, str]] = [(-1, "")]  # by -1 - slot
        self.left_out_values = np.zeros(2 + MOST_NAMED, np.int64)  # by -slot
        self._table = np.full(256, -1, np.int32)
        self._stream = np.zeros(128, np.int32)
        self._slot = np.zeros(128, np.int32)
        self._ends = np.zeros(129, np.int64)
        self._text = np.zeros(4096, np.uint8)
        self._count = 0

    @property
    def most(self) -> int:
        """The number of slots in use of the stream that has most, slot 0 not counted."""
        return max(map(len, self._names), default=0)

    def name(self, stream: int, slot: int) -> str:
        return self._names[stream][slot - 1] if slot else ""

    def left_out(self) -> list[LeftOut]:
        """Return what was not counted since the start, in the order met, those beyond the list last."""
        found = [
            LeftOut(*self._streams[stream], name, int(self.left_out_values[2 + i]))
            for i, (stream, name) in enumerate(self._left_out[1:])
        ]
        rest = int(self.left_out_values[1])
        return found + ([LeftOut("", "", "", rest)] if rest else [])

    def lines(self, maps: ScalarMaps, rows: IntArray, stream: CodeArray) -> tuple[CodeArray, IntArray]:
        """Return (slots, where in it the slots of each row's keys begin), the second of shape ``(n,)``.

        A slot below 0 is that of a feature left out.
        """
        single = bool(len(rows)) and int(stream.min()) == int(stream.max())
        if single and kernels.one_layout(maps.starts, maps.key_ends, maps.key_text):
            slots, _ = self._lines(maps, rows[:1], stream[:1])
            return slots, np.zeros(len(rows), np.int64)
        return self._lines(maps, rows, stream)

    def _lines(self, maps: ScalarMaps, rows: IntArray, stream: CodeArray) -> tuple[CodeArray, IntArray]:
        sizes = maps.starts[rows + 1] - maps.starts[rows]
        slots, slot_start = np.empty(int(sizes.sum()), np.int32), np.empty(len(rows), np.int64)
        used = np.zeros(1, np.int64)
        kept = np.full((KEY_LISTS_KEPT, 2), -1, np.int64)
        begin = 0
        while begin < len(rows):
            begin, unknown = kernels.find_lines(
                begin, rows, stream, maps.starts, maps.key_ends, maps.key_text, kept,
                self._table, self._stream, self._ends, self._text, self._slot, self._closed(),
                used, slots, slot_start,
            )  # fmt: skip
            if begin < len(rows):
                text = maps.key_text[maps.key_ends[unknown] : maps.key_ends[unknown + 1]]
                self._add(int(stream[begin]), text.tobytes())
        return slots, slot_start

    def _closed(self) -> np.ndarray:
        """Return by stream whether it takes no more names, not even of features left out."""
        closed = np.zeros(len(self._streams), bool)
        if len(self._left_out) > MOST_NAMED:
            closed[: len(self._names)] = [len(names) >= MOST_FEATURES for names in self._names]
        return closed

    def _add(self, stream: int, text: bytes) -> None:
        self._names += [[] for _ in range(stream + 1 - len(self._names))]
        names = self._names[stream]
        if len(names) < MOST_FEATURES:
            names.append(text.decode())
            slot = len(names)
        else:
            self._left_out.append((stream, text.decode()))
            slot = -len(self._left_out)
        new, at = self._count, int(self._ends[self._count])
        self._count += 1
        if self._count == len(self._stream):
            self._stream, self._slot = (np.concatenate([a, a]) for a in (self._stream, self._slot))
            self._ends = np.concatenate([self._ends, self._ends[1:]])
            self._table = np.full(2 * len(self._table), -1, np.int32)
            for name in range(new):
                kernels.place_name(name, self._table, self._stream, self._ends, self._text)
        if at + len(text) > len(self._text):
            self._text = np.concatenate([self._text, np.zeros(len(self._text) + len(text), np.uint8)])
        self._text[at : at + len(text)] = np.frombuffer(text, np.uint8)
        self._ends[new + 1] = at + len(text)
        self._stream[new], self._slot[new] = stream, slot
        kernels.place_name(new, self._table, self._stream, self._ends, self._text)
