"""Quantiles of latency and of label delay, within 2 % of the order statistic."""

from schemas.panes import DELAY_FLOOR_MS, LATENCY_FLOOR_MS, PaneSums, duration_quantile


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
