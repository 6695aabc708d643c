"""Quantiles of latency and label delay, within 2 % of the order statistic; how labels arrive by age."""

import numpy as np

from schemas.panes import (
    DELAY_FLOOR_MS,
    LATENCY_FLOOR_MS,
    PaneSums,
    add_bins,
    age_edge_ms,
    duration_quantile,
)
from streams.metrics.counts import answered


def duration_figures(sums: PaneSums) -> dict[str, float | None]:
    """Return label delay in seconds and latency in milliseconds; None where no call carried one."""
    latency, delay = sums.histograms["latency"], sums.histograms["delay"]

    def delay_s(q: float) -> float | None:
        value_ms = duration_quantile(delay, q, DELAY_FLOOR_MS)
        return None if value_ms is None else value_ms / 1000

    return {
        "label_delay_p50_s": delay_s(0.50),
        "label_delay_p95_s": delay_s(0.95),
        "latency_p50_ms": duration_quantile(latency, 0.50, LATENCY_FLOOR_MS),
        "latency_p95_ms": duration_quantile(latency, 0.95, LATENCY_FLOOR_MS),
        "latency_p99_ms": duration_quantile(latency, 0.99, LATENCY_FLOOR_MS),
    }


def delay_curve(sums: PaneSums) -> list[dict[str, float | int | None]]:
    """Return how many answers had their label at each age at which one came, and their share of all answers.

    Examples
    --------
    >>> sums = PaneSums()
    >>> sums.counts |= {"predictions": 4}
    >>> sums.class_bins["age_hits"] = {"": np.array([1, 0, 0, 0, 2])}
    >>> [(row["age_s"], row["labelled"], row["share"]) for row in delay_curve(sums)]
    [(1.0, 1, 0.25), (2.0, 3, 0.75)]
    """
    by_class = [sums.class_bins[name].values() for name in ("age_hits", "age_misses")]
    labels = add_bins([bins for parts in by_class for bins in parts])
    arrived, n = np.cumsum(labels), answered(sums)
    return [
        {
            "age_s": age_edge_ms(i) / 1000,
            "labelled": int(arrived[i]),
            "share": int(arrived[i]) / n if n > 0 else None,
        }
        for i in np.flatnonzero(labels).tolist()
    ]
