"""The dashboards that aftcast ships for Grafana: what they ask, and how that becomes Grafana's JSON."""

from aftcast.dashboards.boards import BOARDS
from aftcast.dashboards.grafana import dashboard_json

__all__ = ["BOARDS", "dashboard_json"]
