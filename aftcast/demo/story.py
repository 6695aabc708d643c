"""What happens in the demo and when, and the configuration that it runs with."""

from dataclasses import dataclass

from aftcast.configuration import Configuration

SIMULATED_MS = 36_000_000  # ten hours: long enough to see a drift found, an alert fire, and both end
RISE_SHARE, RECOVERY_SHARE = 0.3, 0.55  # of the run; the rest is what labels and windows need to settle
PARTITIONS = 2
QUIET_S = 20.0  # of the clock, without predictions, before a model counts as silent


@dataclass(frozen=True)
class Story:
    """Times of one run, in milliseconds since 1970 and of event time."""

    start_ms: int
    end_ms: int
    rise_ms: int
    recovery_ms: int

    def at(self, event_time_ms: int) -> str:
        """Return what the simulated world does at a time, in words; empty while all is well."""
        if event_time_ms < self.rise_ms:
            return ""
        if event_time_ms < self.recovery_ms:
            return "the fraud model is now wrong in 25 % of its answers instead of 10 %"
        return "the fraud model is back at 10 % wrong answers"


def story_of(now_ms: int, duration_s: float, speed: float) -> Story:
    """Return a run that ends about now, so that dashboards find it where they look first."""
    span_ms = int(duration_s * speed * 1000)
    start_ms = (now_ms - span_ms) // 60_000 * 60_000
    return Story(
        start_ms,
        start_ms + span_ms,
        start_ms + int(span_ms * RISE_SHARE),
        start_ms + int(span_ms * RECOVERY_SHARE),
    )


def configuration_of(
    bootstrap_servers: str, url: str, database: str, speed: float, page_port: int | None = None
) -> Configuration:
    """Return the demo's configuration; horizons fit labels that take at most 25 minutes."""
    silence = f"{max(900, int(QUIET_S * speed))}s"
    accuracy = {"model": "fraud", "metric": "accuracy", "below": 0.82, "severity": "page"}
    price = {"model": "price", "metric": "mape", "above": 0.15, "severity": "ticket"}
    return Configuration.model_validate(
        {
            "kafka": {"bootstrap_servers": bootstrap_servers, "group": "aftcast-demo"},
            "clickhouse": {"url": url, "database": database},
            # Longer than the demo: labels may be held back for all of it, and there is no cold join here.
            "join": {"hot_horizon": "24h", "max_waiting_memory": "256MB"},
            "detection": {"maturity_horizon": "30m", "silence_after": silence},
            "metrics": {"port": 0},
            "page": {} if page_port is None else {"port": page_port},
            "rules": [
                {"name": "accuracy-low", "window": "30m", **accuracy},
                {"name": "price-far-off", "window": "30m", **price},
            ],
        }
    )
