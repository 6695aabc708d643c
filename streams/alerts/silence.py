"""A model or version that had traffic and has none: silence, told only while nothing is left unread."""

from dataclasses import dataclass
from math import ceil

from schemas.findings import AlertEvent
from streams.alerts.life_cycle import LifeCycle, Occasion, Subject

# At its rate so far a model must have missed this many predictions: with fewer, gaps of chance (exp(-10) of
# all gaps are longer) would be taken for silence where traffic is thin.
MISSED_PREDICTIONS = 10.0


@dataclass(frozen=True, slots=True)
class Gap:
    """The time without predictions, and what is usual."""

    now_ms: int  # up to which all predictions are read
    last_ms: int  # end of the last pane with a prediction
    rate_per_ms: float  # predictions before the gap


class Silence:
    """The silence of one version, or of a whole model where ``model_version`` is None."""

    def __init__(self, model: str, model_version: str | None) -> None:
        whole_model = model_version is None
        self.life = LifeCycle(
            Subject(
                alertname="ModelSilent" if whole_model else "VersionSilent",
                kind="silence",
                rule="silence",
                severity="page" if whole_model else "ticket",
                model=model,
                model_version=model_version or "",
                metric="predictions",
            )
        )
        self._who = f"{model} {model_version or ''}".strip()

    def advance(self, gap: Gap, *, begin_ms: int, silence_after_ms: int, certain: bool) -> list[AlertEvent]:
        """Compare the gap with the shortest that counts and with what chance makes.

        Parameters
        ----------
        begin_ms
            Where the gap begins to count: its own begin, or the end of a maintenance.
        certain
            Whether all that was sent has been read, and the model is meant to be at work: without, nothing
            begins to fire.
        """
        fired = self.life.fired
        if fired is not None:
            if gap.last_ms <= fired.window_start_ms:
                return []
            text = f"{self._who}: predictions again"
            return self.life.resolve(Occasion(fired.window_start_ms, gap.last_ms, gap.last_ms, text))
        if not certain or gap.rate_per_ms <= 0.0:
            return []
        due_ms = begin_ms + max(silence_after_ms, ceil(MISSED_PREDICTIONS / gap.rate_per_ms))
        if gap.now_ms < due_ms:
            return []
        minutes, usual = (due_ms - gap.last_ms) / 60_000, gap.rate_per_ms * 60_000
        text = f"{self._who}: no predictions for {minutes:.0f} min (usually {usual:.3g} a minute)"
        return self.life.fire(Occasion(gap.last_ms, due_ms, due_ms, text, 0.0, {"usual_per_minute": usual}))

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a version that is no longer watched."""
        if self.life.fired is None:
            return []
        text = f"{self._who}: no traffic any more, no longer watched"
        return self.life.resolve(
            Occasion(
                self.life.fired.window_start_ms, now_ms, now_ms, text, None, {"resolution": "no traffic"}
            )
        )
