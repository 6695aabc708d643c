"""Up to when predictions are old enough for their labels to be there: the maturity frontier."""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.findings import Maturity, Progress
from schemas.settings import MonitorSettings


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one model's labels let its panes be mature.

    ``horizon_ms`` is None while it is being learnt; ``skipped`` are intervals below ``until_ms`` whose labels
    never came.
    """

    maturity: Maturity
    horizon_ms: int | None
    until_ms: int
    skipped: tuple[tuple[int, int], ...] = ()


class Frontier:
    """What all partitions together have reached; it knows nothing until each has been heard.

    A pane is mature when both topics of every partition are past its end by the model's maturity horizon, and
    its labels are there: what is known of a model's labels is noted here for all who ask. The frontier never
    goes back: a partition that starts again from an older offset holds it where it is.
    """

    def __init__(self, settings: MonitorSettings) -> None:
        self._settings = settings
        self._newest: dict[int, Progress] = {}
        self._partitions = 0
        self._inference_ms: int | None = None
        self._both_ms: int | None = None
        self._standings: dict[str, Standing] = {}

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

    def note(self, model: str, standing: Standing) -> None:
        """Take note of what a model's labels say about its maturity."""
        self._standings[model] = standing

    def forget(self, model: str) -> None:
        self._standings.pop(model, None)

    def standing(self, model: str) -> Standing:
        """Return what was noted of a model, of others what the configuration says."""
        known = self._standings.get(model)
        if known is not None:
            return known
        horizon_ms = self.configured_ms(model)
        if horizon_ms is None or not self.known:
            return Standing("learning", horizon_ms, 0)
        return Standing("ready", horizon_ms, self._floor(self.now_ms - horizon_ms))

    def configured_ms(self, model: str) -> int | None:
        """Return the horizon that the configuration gives a model, None where it is to be learnt."""
        own = self._settings.models.get(model)
        if own is not None and own.maturity_horizon_ms is not None:
            return own.maturity_horizon_ms
        return None if self._settings.learn_horizon else self._settings.maturity_horizon_ms

    def horizon_ms(self, model: str) -> int:
        """Return the maturity horizon in force; while it is being learnt, and no pane is mature, 0."""
        return self.standing(model).horizon_ms or 0

    def mature_until_ms(self, model: str) -> int:
        """End of the newest mature pane of a model."""
        return self.standing(model).until_ms

    def mature(self, model: str, start_ms: int, end_ms: int) -> bool:
        """Return whether all of ``[start_ms, end_ms)`` is mature: none of it above, none skipped."""
        standing = self.standing(model)
        return end_ms <= standing.until_ms and not any(
            start < end_ms and start_ms < end for start, end in standing.skipped
        )

    def _floor(self, time_ms: int) -> int:
        return time_ms // self._settings.pane_width_ms * self._settings.pane_width_ms
