"""What detectors watch: one value per signal and pane, whatever it was made of."""

from dataclasses import dataclass
from typing import Literal

Signal = Literal["error", "prediction", "score", "feature", "spread", "missing", "latency", "label_delay"]


@dataclass(frozen=True, slots=True)
class SignalKey:
    """Which signal of a model version it is; ``segment`` '' is all traffic, ``feature`` '' none."""

    signal: Signal
    segment: str = ""
    feature: str = ""


@dataclass(frozen=True, slots=True)
class SignalPane:
    """One signal over one pane ``[start_ms, end_ms)``: ``n`` values that add up to ``total``.

    Values lie in [0, 1]: wrong answers (1) and right ones (0), missing (1) or there (0), else ranks against a
    reference. Errors of a regression are in its own unit. ``squares`` is the sum of the values' squares.
    """

    key: SignalKey
    start_ms: int
    end_ms: int
    n: int
    total: float
    squares: float
