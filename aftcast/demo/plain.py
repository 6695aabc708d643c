"""The demo without a terminal: a line for each thing that happens, and figures every few seconds."""

from aftcast.demo.figures import Figures, ModelView
from aftcast.demo.screen import Moment, alert_line, drift_line
from aftcast.output import say

FIGURES_EVERY_S = 5.0


class PlainLines:
    """Prints what is new since the last look."""

    def __init__(self) -> None:
        self._drifts = 0
        self._alerts = 0
        self._story = ""
        self._next_figures_s = 0.0

    def show(self, moment: Moment, figures: Figures) -> None:
        at = f"{moment.elapsed_s:6.1f} s  "
        if moment.story != self._story:
            self._story = moment.story
            say(at + self._story)
        for drift in figures.drifts[self._drifts :]:
            say(at + drift_line(drift))
        for alert in figures.alerts[self._alerts :]:
            say(at + alert_line(alert))
        self._drifts, self._alerts = len(figures.drifts), len(figures.alerts)
        if figures.models and moment.elapsed_s >= self._next_figures_s:
            self._next_figures_s = moment.elapsed_s + FIGURES_EVERY_S
            waiting = "" if moment.waiting is None else f", {moment.waiting:,} waiting"
            dead = sum(figures.dead_letters.values())
            say(f"{at}{moment.sent:,} events sent{waiting}, {dead} dead letters")
            for model in figures.models:
                say(" " * len(at) + _line(model))


def _line(model: ModelView) -> str:
    share = model.labelled_share
    labelled = "-" if share is None else f"{share:.0%}"
    line = f"{model.model} {model.version}: {model.predictions:,} predictions, {labelled} labelled"
    for name, mature in (("mature", True), ("provisional", False)):
        figures = [w.figure for w in model.windows if w.is_mature is mature and w.figure is not None]
        if figures:
            line += f", {name} {model.metric} {figures[-1]:.1%}"
    return line
