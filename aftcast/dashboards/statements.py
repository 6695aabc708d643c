"""Statements that several panels share: figures by window, alerts that are open, what happened when."""

from aftcast.dashboards.choices import CHOSEN, OF_MODEL, SERIES, WINDOW
from aftcast.dashboards.panels import Query

NEWEST_FIRST = "ORDER BY time DESC LIMIT 200"
# An address that a producer or a rule names is shown as a link only if it is one to the web.
RUNBOOK = "if(match(runbook_url, '^https?://'), runbook_url, '') AS runbook"


def figures(figure: str, where: str = "1", name: str = "mature") -> Query:
    """Return a figure of ``model_quality`` by window, a series for each chosen model and version."""
    return Query(
        f"SELECT window_start AS time, {SERIES}, {figure} AS figure\n"
        f"FROM aftcast.model_quality(window_seconds = {WINDOW})\n"
        f"WHERE $__timeFilter(window_start) AND {CHOSEN} AND {where} AND figure IS NOT NULL\n"
        "ORDER BY time, series",
        name,
    )


def figures_of_labels(figure: str) -> tuple[Query, ...]:
    """Return a figure that needs labels: where they have come, and where they are still coming."""
    return figures(figure, "is_mature"), figures(figure, "NOT is_mature", "provisional")


def several(figures_by_name: dict[str, str]) -> Query:
    """Return several figures of ``model_quality`` by window, each as series of its own."""
    pairs = ", ".join(f"('{name}', {column})" for name, column in figures_by_name.items())
    return Query(
        "SELECT window_start AS time, concat(model, ' ', model_version, ' ', pair.1) AS series, pair.2 AS "
        "figure\n"
        f"FROM (\n    SELECT window_start, model, model_version, arrayJoin([{pairs}]) AS pair\n"
        f"    FROM aftcast.model_quality(window_seconds = {WINDOW})\n"
        f"    WHERE $__timeFilter(window_start) AND {CHOSEN}\n)\n"
        "WHERE figure IS NOT NULL\nORDER BY time, series"
    )


def by_model(figure: str, where: str = "1", name: str = "mature") -> Query:
    """Return a figure of all traffic by window, a series for each model over all of its versions."""
    return Query(
        f"SELECT window_start AS time, model AS series, {figure} AS figure\n"
        f"FROM aftcast.model_quality(window_seconds = {WINDOW})\n"
        f"WHERE $__timeFilter(window_start) AND segment = '' AND {where}\n"
        "GROUP BY time, series\nHAVING isFinite(figure)\nORDER BY time, series",
        name,
    )


def by_model_of_labels(column: str) -> tuple[Query, ...]:
    """Return a figure of all traffic that needs labels, of versions by their labels' number."""
    mean = f"sum({column} * labelled) / sum(labelled)"
    return (
        by_model(mean, f"is_mature AND {column} IS NOT NULL"),
        by_model(mean, f"NOT is_mature AND {column} IS NOT NULL", "provisional"),
    )


# The state is that of the newest event that is no correction; at equal times firing gives way.
OPEN_ALERTS = """
    SELECT
        a.fingerprint AS fingerprint,
        argMaxIf(a.status, (a.timestamp, a.status != 'firing'), a.status != 'corrected') AS state,
        argMax(
            (a.model, a.model_version, a.severity, a.summary, a.started_at, a.runbook_url), a.timestamp
        ) AS newest,
        newest.1 AS model,
        newest.2 AS model_version,
        newest.3 AS severity,
        newest.4 AS summary,
        newest.5 AS since,
        newest.6 AS runbook_url
    FROM (SELECT * FROM aftcast.alerts FINAL WHERE timestamp <= $__toTime) AS a
    GROUP BY fingerprint
    HAVING state = 'firing'
"""


def open_alerts(where: str) -> str:
    return (
        f"SELECT severity, model, model_version, since, summary, {RUNBOOK}, fingerprint\n"
        f"FROM ({OPEN_ALERTS})\nWHERE {where}\n"
        "ORDER BY indexOf(['page', 'ticket', 'info'], severity), since DESC LIMIT 200"
    )


def alert_marks(where: str) -> tuple[str, str, str]:
    """Return what draws alerts on every chart: name, colour, query."""
    return (
        "Alerts",
        "red",
        "SELECT timestamp AS time, concat(status, ': ', summary) AS text, concat(severity, ',', kind) AS "
        "tags\n"
        "FROM aftcast.alerts FINAL\n"
        f"WHERE $__timeFilter(timestamp) AND status != 'corrected' AND {where}\nORDER BY time LIMIT 500",
    )


def lifecycle_marks(where: str) -> tuple[str, str, str]:
    """Return what draws deployments and the like on every chart: name, colour, query."""
    return (
        "Deployments",
        "blue",
        "SELECT timestamp AS time, concat(kind, ' ', model, ' ', model_version, ' ', message) AS text, "
        "kind AS tags\nFROM aftcast.lifecycle_events FINAL\n"
        f"WHERE $__timeFilter(timestamp) AND {where}\nORDER BY time LIMIT 500",
    )


MARKS_OF_ALL = (alert_marks("1"), lifecycle_marks("1"))
MARKS_OF_CHOSEN = (alert_marks(f"(model = '' OR {OF_MODEL})"), lifecycle_marks(OF_MODEL))
