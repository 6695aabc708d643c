"""Labels that are given to predictions that got none: in force until a real one comes."""

from dataclasses import dataclass

import numpy as np

from schemas.coded import NO_CLASS, FloatArray
from schemas.records import IntArray


@dataclass(frozen=True, slots=True)
class Implicit:
    """The implicit label of each stream, shape ``(streams,)``, or empty where no model has any.

    ``after_ms`` is how long after its prediction it is given, -1: never; ``number`` is NaN where the label
    is none.
    """

    after_ms: IntArray
    class_key: IntArray
    number: FloatArray

    @classmethod
    def none(cls, streams: int) -> "Implicit":
        """Return that of streams without any, to be filled in."""
        return cls(
            np.full(streams, -1, np.int64), np.full(streams, NO_CLASS, np.int64), np.full(streams, np.nan)
        )
