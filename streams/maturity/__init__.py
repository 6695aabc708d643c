"""When panes are mature: delay curves of labels, the horizon that follows from them, and panes held back."""

from streams.maturity.change import changed
from streams.maturity.cohorts import Cohort, Cohorts, Slice
from streams.maturity.curves import learn_curves
from streams.maturity.holding import Holding
from streams.maturity.horizon import Horizon, HorizonLearner

__all__ = [
    "Cohort",
    "Cohorts",
    "Holding",
    "Horizon",
    "HorizonLearner",
    "Slice",
    "changed",
    "learn_curves",
]
