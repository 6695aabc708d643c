"""Statements that several panels share: figures by window, alerts that are open, what happened when."""

from aftcast.dashboards.choices import CHOSEN, OF_CHOSEN_MODEL, OF_MODEL, SERIES, WINDOW
from aftcast.dashboards.panels import Mark, Query

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
        f"WHERE $__timeFilter(window_start) AND segment = '' AND {OF_MODEL} AND {where}\n"
        "GROUP BY time, series\nHAVING isFinite(figure)\nORDER BY time, series",
        name,
    )


def of_all_models(figure: str, where: str, name: str = "mature") -> Query:
    """Return one figure of all traffic by window, over all models and versions."""
    return Query(
        f"SELECT window_start AS time, 'all models' AS series, {figure} AS figure\n"
        f"FROM aftcast.model_quality(window_seconds = {WINDOW})\n"
        f"WHERE $__timeFilter(window_start) AND segment = '' AND {OF_MODEL} AND {where}\n"
        "GROUP BY time\nHAVING isFinite(figure)\nORDER BY time",
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


# What a mark says is shown as HTML: names of models and words of people must stay words.
def _marks(name: str, colour: str, said: str, tags: str, table: str, where: str) -> Mark:
    return Mark(
        name,
        colour,
        f"SELECT timestamp AS time, encodeXMLComponent({said}) AS text, {tags} AS tags\n"
        f"FROM aftcast.{table} FINAL\nWHERE $__timeFilter(timestamp) AND {where}\nORDER BY time LIMIT 500",
    )


WHAT_HAPPENED = "concat(kind, ' ', model, ' ', model_version, ' ', message)"
MAINTENANCE = "('maintenance_started', 'maintenance_ended')"


def marks(of_alerts: str, of_models: str) -> tuple[Mark, ...]:
    """Return what is drawn on every chart of a board: alerts, deployments, rollbacks and maintenance.

    Parameters
    ----------
    of_alerts, of_models
        Conditions on the rows of alerts and of lifecycle events.
    """
    told, kinds = "concat(status, ': ', summary)", "concat(severity, ',', kind)"
    other = f"kind NOT IN ('rolled_back', {MAINTENANCE[1:]} AND {of_models}"
    return (
        _marks("Alerts", "red", told, kinds, "alerts", f"status = 'firing' AND {of_alerts}"),
        _marks(
            "Alerts over",
            "green",
            told,
            kinds,
            "alerts",
            f"status IN ('resolved', 'retracted') AND {of_alerts}",
        ),
        _marks("Deployments", "blue", WHAT_HAPPENED, "kind", "lifecycle_events", other),
        _marks(
            "Rollbacks",
            "orange",
            WHAT_HAPPENED,
            "kind",
            "lifecycle_events",
            f"kind = 'rolled_back' AND {of_models}",
        ),
        Mark("Maintenance", "purple", maintenance(of_models)),
    )


def maintenance(where: str) -> str:
    """Return from when to when alerts were kept silent; what has not ended lasts as far as is shown."""
    said = "concat('maintenance ', s.model, ' ', s.model_version, ' ', s.message)"
    events = f"SELECT * FROM aftcast.lifecycle_events FINAL WHERE timestamp <= $__toTime AND {where}"
    return (
        "SELECT s.timestamp AS time, if(e.timestamp < s.timestamp, $__toTime, e.timestamp) AS timeEnd,\n"
        f"    encodeXMLComponent({said}) AS text, 'maintenance' AS tags\n"
        f"FROM ({events} AND kind = 'maintenance_started') AS s\n"
        f"ASOF LEFT JOIN ({events} AND kind = 'maintenance_ended') AS e\n"
        "    ON s.model = e.model AND s.model_version = e.model_version AND e.timestamp >= s.timestamp\n"
        "WHERE timeEnd >= $__fromTime\nORDER BY time LIMIT 500"
    )


MARKS_OF_CHOSEN = marks(OF_CHOSEN_MODEL, OF_MODEL)
