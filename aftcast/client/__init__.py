"""For the services that predict: ``Reporter`` sends predictions and labels, and never disturbs the caller."""

from aftcast.client.counts import Counts
from aftcast.client.events import EventError
from aftcast.client.reporter import Reporter

__all__ = ["Counts", "EventError", "Reporter"]
