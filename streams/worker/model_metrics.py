"""What a worker tells Prometheus about models: bounded, however many there are."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.monitor.gauges import GAUGES, VersionFigures

SHOWN = 100  # versions of each worker, those with the most traffic: seven hundred series
MATURE = (
    "aftcast_mature_until_seconds",
    "Unix time up to which figures are mature; without it, the model's horizon is still being learnt.",
)
NOT_SHOWN = (
    "aftcast_model_versions_not_shown",
    f"Versions beyond the {SHOWN} with the most traffic, of which there are no gauges.",
)


_HOURS = {"closed": "that has closed", "mature": "that is mature"}
HELP = {
    gauge.name: f"{gauge.explanation.removesuffix('.')}, in the newest hour {_HOURS[gauge.of]}."
    for gauge in GAUGES
}
MODELS = (*HELP.items(), NOT_SHOWN, MATURE)


class ModelCollector(Collector):
    """Reads what the monitors have summed up last.

    Parameters
    ----------
    figures
        Of every version that this worker watches.
    mature_until_ms
        By model.
    """

    def __init__(
        self,
        figures: Callable[[], Sequence[VersionFigures]],
        mature_until_ms: Callable[[], Mapping[str, int]],
    ) -> None:
        self._figures = figures
        self._mature_until_ms = mature_until_ms

    def collect(self) -> Iterator[Metric]:
        known = sorted(self._figures(), key=lambda one: (-one.predictions, one.model, one.model_version))
        shown = known[:SHOWN]
        for gauge in GAUGES:
            family = GaugeMetricFamily(gauge.name, HELP[gauge.name], labels=["model", "model_version"])
            for one in shown:
                if gauge.name in one.values:
                    family.add_metric([one.model, one.model_version], one.values[gauge.name])
            yield family
        yield GaugeMetricFamily(*NOT_SHOWN, value=len(known) - len(shown))
        until_ms = self._mature_until_ms()
        busy = {one.model for one in shown}
        mature = GaugeMetricFamily(*MATURE, labels=["model"])
        for model in sorted(until_ms):
            if model in busy or len(until_ms) <= SHOWN:
                mature.add_metric([model], until_ms[model] / 1000)
        yield mature
