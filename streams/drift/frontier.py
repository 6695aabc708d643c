"""Up to when predictions are old enough for their labels to be there: the maturity frontier."""

from collections.abc import Iterable

from schemas.findings import Progress
from schemas.settings import MonitorSettings


class Frontier:
    """What all partitions together have reached; it knows nothing until each has been heard.

    A pane is mature when both topics of every partition are past its end by the model's maturity horizon.
    The frontier never goes back: a partition that starts again from an older offset holds it where it is.
    """

    def __init__(self, settings: MonitorSettings) -> None:
        self._settings = settings
        self._newest: dict[int, Progress] = {}
        self._partitions = 0
        self._inference_ms: int | None = None
        self._both_ms: int | None = None

    def advance(self, progress: Iterable[Progress]) -> bool:
        """Take in what partitions report and return whether all of them have been heard by now."""
        for report in progress:
            self._partitions = max(self._partitions, report.partitions)
            known = self._newest.get(report.partition)
            if known is None or report.epoch >= known.epoch:
                self._newest[report.partition] = report
        if not self._newest or len(self._newest) < self._partitions:
            return self.known
        inference_ms = min(report.inference_ms for report in self._newest.values())
        both_ms = min(min(report.inference_ms, report.labels_ms) for report in self._newest.values())
        self._inference_ms = max(inference_ms, self._inference_ms or inference_ms)
        self._both_ms = max(both_ms, self._both_ms or both_ms)
        return True

    @property
    def known(self) -> bool:
        """Whether every partition has been heard."""
        return self._both_ms is not None

    @property
    def caught_up(self) -> bool:
        """Whether every partition has read all there was, so that what is missing was never sent."""
        return len(self._newest) >= self._partitions > 0 and all(r.caught_up for r in self._newest.values())

    @property
    def inference_ms(self) -> int:
        """Record time up to which all predictions are applied."""
        assert self._inference_ms is not None, "asked before every partition was heard"  # noqa: S101
        return self._inference_ms

    @property
    def now_ms(self) -> int:
        """Record time up to which all predictions and labels are applied."""
        assert self._both_ms is not None, "asked before every partition was heard"  # noqa: S101
        return self._both_ms

    @property
    def closed_until_ms(self) -> int:
        """End of the newest pane whose predictions have all been read."""
        return self._floor(self.inference_ms)

    def horizon_ms(self, model: str) -> int:
        own = self._settings.models.get(model)
        if own is None or own.maturity_horizon_ms is None:
            return self._settings.maturity_horizon_ms
        return own.maturity_horizon_ms

    def mature_until_ms(self, model: str) -> int:
        """End of the newest mature pane of a model."""
        return self._floor(self.now_ms - self.horizon_ms(model))

    def _floor(self, time_ms: int) -> int:
        return time_ms // self._settings.pane_width_ms * self._settings.pane_width_ms
