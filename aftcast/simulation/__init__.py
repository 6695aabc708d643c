"""Traffic of two simulated models, with late labels and faults, the same for the same seed."""

from aftcast.simulation.events import INFERENCE, LABELS, Event
from aftcast.simulation.simulation import Simulation

__all__ = ["INFERENCE", "LABELS", "Event", "Simulation"]
