"""All signals of one model version: panes in, drift events out, within the model's budget of false alarms."""

from collections.abc import Sequence

from schemas.findings import Task
from schemas.settings import MonitorSettings
from schemas.signals import SignalKey, SignalPane
from streams.drift.budget import Budget
from streams.drift.channel import Channel, Found
from streams.drift.era import Watched


class SignalWatch:
    """A channel for each signal and scope that it is handed; all traffic and the configured segments count.

    Parameters
    ----------
    budget
        Shared by the versions of a model.
    """

    def __init__(
        self, model: str, model_version: str, task: Task, settings: MonitorSettings, budget: Budget
    ) -> None:
        self._model, self._version = model, model_version
        self._settings, self._budget = settings, budget
        self.task = task
        self._scopes = frozenset(("", *settings.segments))
        self._channels: dict[SignalKey, Channel] = {}

    def feed(self, panes: Sequence[SignalPane], horizon_ms: int = 0) -> list[Found]:
        """Take in panes, those of one signal in order of event time, each once; return what they complete.

        Parameters
        ----------
        panes
            Of any signals and scopes; a scope that is not watched is passed over.
        horizon_ms
            How long after their end the panes were complete: the maturity horizon for signals of labels.
        """
        found = []
        for pane in panes:
            if pane.key.segment in self._scopes:
                one = self._channel(pane.key).feed(pane, horizon_ms)
                if one is not None:
                    found.append(one)
        return found

    def retask(self, task: Task) -> None:
        """Start errors anew: wrong answers and absolute errors have no common past."""
        if (task == "regression") != (self.task == "regression"):
            for key in [key for key in self._channels if key.signal in ("error", "prediction")]:
                del self._channels[key]
        self.task = task

    def _channel(self, key: SignalKey) -> Channel:
        if key not in self._channels:
            self._budget.join(self._version, key)
            settings = self._settings
            regression = key.signal == "error" and self.task == "regression"
            self._channels[key] = Channel(
                Watched(
                    self._model,
                    self._version,
                    key,
                    regression,
                    settings.smallest_change,
                    settings.detectors,
                    self._budget,
                )
            )
        return self._channels[key]
