"""The demo without a terminal: a line for each thing that happens, and figures every few seconds."""

from aftcast.demo.figures import Figures, ModelView
from aftcast.demo.screen import SLOWED, Moment, alert_line, drift_line
from aftcast.output import say

FIGURES_EVERY_S = 5.0
DOING_EVERY_S = 2.0


class PlainLines:
    """Prints what is new since the last look."""

    def __init__(self) -> None:
        self._drifts = 0
        self._alerts = 0
        self._story = ""
        self._next_figures_s = 0.0
        self._doing = ""
        self._next_doing_s = 0.0
        self._slow = False

    def starting(self, elapsed_s: float, doing: str) -> None:
        if doing != self._doing or elapsed_s >= self._next_doing_s:
            self._doing, self._next_doing_s = doing, elapsed_s + DOING_EVERY_S
            say(f"{elapsed_s:6.1f} s  {doing}")

    def show(self, moment: Moment, figures: Figures) -> None:
        at = f"{moment.elapsed_s:6.1f} s  "
        if moment.is_slowed != self._slow:
            self._slow = moment.is_slowed
            say(at + (SLOWED if self._slow else "simulated time runs at full speed again"))
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
