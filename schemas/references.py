"""What a feature is held against: its counts in a time, or a file, taken as usual."""

from dataclasses import dataclass
from typing import Literal

MONTH_S = 30 * 86_400


@dataclass(frozen=True, slots=True)
class FeatureReference:
    """Counts of one feature of one model version, cut into cells at its own quantiles.

    Cell 0 holds numbers below grid cell ``edges[0]``, cell i those from ``edges[i - 1]`` up to ``edges[i]``,
    the last one all from ``edges[-1]`` up (``schemas.features.grid_cell``); without numbers there is one
    cell and no edge. ``since_ms`` and ``until_ms`` are the traffic it was frozen from, None where a file
    says it.
    """

    model: str
    model_version: str
    segment: str
    signal: Literal["feature", "prediction"]
    feature: str
    reference_version: str
    predictions: int  # those without a value among them
    n: int
    numbers: int
    sum: float  # of the numbers, exact
    m2: float  # their squares about their mean
    edges: tuple[int, ...]  # ascending
    counts: tuple[int, ...]  # of numbers by cell, one more than edges
    values: tuple[float, ...]  # the mean of each of these cells
    categories: tuple[str, ...]  # by name; of very many only frequent ones
    category_counts: tuple[int, ...]
    rest: int  # all other categories; 0: there were none
    level_per_s: float  # a window of this many seconds may be called drifted below its product with this
    as_of_ms: int
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """Which feature it is of: model, version, segment, signal, feature."""
        return self.model, self.model_version, self.segment, self.signal, self.feature

    def level(self, window_ms: int) -> float:
        """Return the level of each of a window's two tests, never above 5 %.

        Examples
        --------
        A false alarm a month over ten features, hourly windows, two tests each:

        >>> f"{3600 * level_per_s(1.0, 10):.1e}"
        '6.9e-05'
        """
        return min(0.05, self.level_per_s * (window_ms / 1000))


def level_per_s(false_alarms_per_month: float, family: int) -> float:
    """Return the level of one test per second of window: a month's alarms shared out evenly.

    ``family`` is the number of features times scopes; of each, values and missing values are tested.
    """
    return false_alarms_per_month / MONTH_S / (2 * family)
