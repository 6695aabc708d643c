"""What the forwarder tells Prometheus and probes: deliveries, retries, refusals and lag of each target."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.worker.health import Part

# A try lasts a minute at most and Kafka's answers ten seconds each: longer is a loop that stands still.
TURN_WITHIN_S = 180.0


@dataclass(slots=True)
class Tally:
    """How one target fares; written by its runner, read by any thread."""

    delivered: int = 0
    retries: int = 0
    refused: int = 0
    lag_records: int = 0
    firing: int = 0
    assigned: bool = False
    failing_since_s: float | None = None  # of time.monotonic()
    reason: str = ""  # of the last failed try, without secrets
    turned_s: float = field(default_factory=time.monotonic)

    def failed(self, reason: str) -> None:
        self.retries += 1
        self.reason = reason
        if self.failing_since_s is None:
            self.failing_since_s = time.monotonic()

    def answered(self) -> None:
        """Note that the target takes what it is sent, or says for good that it does not."""
        self.failing_since_s, self.reason = None, ""

    def failing_s(self) -> float:
        since_s = self.failing_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of a target: its name, what it counts, and where its value is."""

    name: str
    kind: Literal["counter", "gauge"]
    explanation: str
    value: Callable[[Tally], float]


SERIES = (
    Series("aftcast_forward_delivered", "counter", "Alert events taken.", lambda t: t.delivered),
    Series("aftcast_forward_retries", "counter", "Tries that failed and are repeated.", lambda t: t.retries),
    Series("aftcast_forward_refused", "counter", "Alert events set aside.", lambda t: t.refused),
    Series("aftcast_forward_lag_records", "gauge", "Records still to be read.", lambda t: t.lag_records),
    Series("aftcast_forward_firing", "gauge", "Alerts that fire, as the target knows.", lambda t: t.firing),
    Series(
        "aftcast_forward_failing_seconds",
        "gauge",
        "Since when every try has failed; 0: none has since the last answer.",
        lambda t: t.failing_s(),
    ),
)


class ForwardCollector(Collector):
    """Reads the tallies, by name of their targets, when Prometheus asks."""

    def __init__(self, tallies: Mapping[str, Tally]) -> None:
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        for series in SERIES:
            kind = CounterMetricFamily if series.kind == "counter" else GaugeMetricFamily
            family = kind(series.name, series.explanation, labels=["target"])
            for target, tally in self._tallies.items():
                family.add_metric([target], series.value(tally))
            yield family


def forward_part(tallies: Mapping[str, Tally]) -> Part:
    """Return how the forwarder is doing: alive if each target's loop turns, ready if each takes alerts."""

    def alive() -> Sequence[str]:
        now_s = time.monotonic()
        ages_s = {target: now_s - tally.turned_s for target, tally in tallies.items()}
        return [
            f"{target}: has not turned for {age_s:.0f} s"
            for target, age_s in ages_s.items()
            if age_s > TURN_WITHIN_S
        ]

    def ready() -> Sequence[str]:
        reasons = list(alive())
        for target, tally in tallies.items():
            if not tally.assigned:
                reasons.append(f"{target}: no assignment from the consumer group yet")
            if tally.failing_since_s is not None:
                reasons.append(f"{target}: nothing is taken for {tally.failing_s():.0f} s ({tally.reason})")
        return reasons

    return Part("forward", alive, ready)
