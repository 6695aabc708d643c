"""The simulation as the demo's switches bend it: more wrong answers, and other features than before."""

from dataclasses import replace
from typing import Any

import numpy as np

from aftcast.demo.switches import AMOUNTS_GROW, Switches
from aftcast.simulation import Event, Simulation
from aftcast.simulation.models import FRAUD, Answers, FloatArray
from aftcast.simulation.simulation import NORMAL_ERROR_RATE, RAISED_ERROR_RATE
from schemas.records import IntArray


class SwitchedSimulation(Simulation):
    """A simulation that looks at the switches block by block; untouched, it sends what it would without."""

    def __init__(self, switches: Switches, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._switches = switches

    def error_rate(self, timestamps_ms: IntArray) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return with which probability the fraud model is wrong at each time."""
        drift = self._switches.drift
        if drift is None:
            return super().error_rate(timestamps_ms)
        return np.full(len(timestamps_ms), RAISED_ERROR_RATE if drift else NORMAL_ERROR_RATE)

    def _events(
        self, draw: np.random.Generator, answers: Answers, timestamps_ms: IntArray, begin_ms: int
    ) -> list[Event]:
        if self._switches.drift and answers.model == FRAUD:
            features = dict(answers.features)
            amounts: FloatArray = features["amount"].astype(np.float64)
            features["amount"] = np.round(amounts * AMOUNTS_GROW, 2)
            answers = replace(answers, features=features)
        return super()._events(draw, answers, timestamps_ms, begin_ms)
