"""Names to codes: streams (model and version), models, classes, segments, statuses, sources."""

from dataclasses import dataclass, field

import numpy as np

SEGMENT_VALUES_PER_KEY = 100  # of one model; the rest is ``other``
OTHER = "other"


class Names:
    """A list of distinct texts; a text's code is its position.

    Examples
    --------
    >>> names = Names(["false", "true"])
    >>> names.code("true"), names.code("maybe"), names.text(2)
    (1, 2, 'maybe')
    """

    def __init__(self, texts: list[str] | None = None) -> None:
        self.texts = list(texts or ())
        self._codes = {text: i for i, text in enumerate(self.texts)}

    def __len__(self) -> int:
        return len(self.texts)

    def code(self, text: str) -> int:
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self.texts)
            self.texts.append(text)
        return found

    def text(self, code: int) -> str:
        return self.texts[code]

    def ranks(self) -> np.ndarray:
        """Return each text's place among all in the order of their UTF-8 bytes, shape ``(len(self),)``."""
        order = sorted(range(len(self.texts)), key=lambda i: self.texts[i].encode())
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        return ranks


class Segments:
    """Segment codes; 0 is ``''``, all traffic. The first values of a key are kept, the rest is ``other``."""

    def __init__(self) -> None:
        self.names = Names([""])
        self._kept: dict[tuple[int, str], set[str]] = {}

    def code(self, model: int, key: str, value: str) -> int:
        kept = self._kept.setdefault((model, key), set())
        if value not in kept:
            if len(kept) >= SEGMENT_VALUES_PER_KEY:
                value = OTHER
            else:
                kept.add(value)
        return self.names.code(f"{key}={value}")


@dataclass(slots=True)
class Vocabulary:
    """All names that one partition has met."""

    models: Names = field(default_factory=Names)
    streams: dict[tuple[str, str], int] = field(default_factory=dict)
    stream_names: list[tuple[str, str]] = field(default_factory=list)
    stream_model: list[int] = field(default_factory=list)
    classes: Names = field(default_factory=lambda: Names(["false", "true"]))
    segments: Segments = field(default_factory=Segments)
    statuses: Names = field(default_factory=Names)
    sources: Names = field(default_factory=lambda: Names([""]))

    def stream(self, model: str, version: str) -> int:
        code = self.streams.get((model, version))
        if code is None:
            code = self.streams[(model, version)] = len(self.stream_names)
            self.stream_names.append((model, version))
            self.stream_model.append(self.models.code(model))
        return code

    def class_text(self, key: int) -> str:
        """Return the canonical string of a class key."""
        return str(key >> 1) if key % 2 == 0 else self.classes.text(key >> 1)
