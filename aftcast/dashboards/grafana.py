"""Boards in Grafana's words: its classic dashboard model, which all versions since 10 read.

Plain documents, not Grafana's SDK for Python: that has no queries of ClickHouse, warns on import, leaves out
what older versions need, and its latest version is not the one that a plain install brings.
"""

from typing import Any

from aftcast.dashboards.choices import EVERY
from aftcast.dashboards.panels import Board, Mark, Panel, Query, Row, Variable

PLUGIN = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.20.0"
SCHEMA_VERSION = 39  # of the dashboard model: Grafana brings older ones up to date when it loads them
COLUMNS = 24
ROW_HEIGHT = 1
_SOURCES = {
    "clickhouse": {"type": PLUGIN, "uid": "${datasource}"},
    "prometheus": {"type": "prometheus", "uid": "${prometheus}"},
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
    "barchart": {"legend": {"displayMode": "list", "placement": "bottom"}, "xTickLabelSpacing": 60},
    "bargauge": {
        "reduceOptions": {"calcs": [], "fields": "", "values": True},
        "orientation": "horizontal",
        "displayMode": "basic",
    },
}


def dashboard_json(board: Board) -> dict[str, Any]:
    """Return the document that Grafana provisions; the same board gives the same document.

    Examples
    --------
    >>> from aftcast.dashboards import BOARDS
    >>> dashboard_json(BOARDS[0])["uid"]
    'aftcast-executive'
    """
    return {
        "uid": uid_of(board.name),
        "title": board.title,
        "description": board.description,
        "tags": ["aftcast"],
        "editable": False,
        "graphTooltip": 1,
        "refresh": "1m",
        "schemaVersion": SCHEMA_VERSION,
        "time": {"from": board.span, "to": "now"},
        "timezone": "utc",
        "links": [_link(name) for name in board.leads_to],
        "annotations": {"list": [_annotation(mark) for mark in board.annotations]},
        "templating": {"list": [*_sources(board), *(_variable(variable) for variable in board.variables)]},
        "panels": _panels(board.rows),
    }


def uid_of(name: str) -> str:
    return f"aftcast-{name}"


def _link(name: str) -> dict[str, Any]:
    return {
        "type": "link",
        "title": name.capitalize(),
        "url": f"/d/{uid_of(name)}",
        "icon": "dashboard",
        "includeVars": True,
        "keepTime": True,
    }


def _annotation(mark: Mark) -> dict[str, Any]:
    return {
        "name": mark.name,
        "enable": True,
        "iconColor": mark.colour,
        "datasource": _SOURCES["clickhouse"],
        "target": _target(Query(mark.query, "marks"), "table"),
    }


def _sources(board: Board) -> list[dict[str, Any]]:
    used = {query.source for panel in board.panels for query in panel.queries}
    names = {"datasource": ("ClickHouse", PLUGIN)}
    if "prometheus" in used:
        names["prometheus"] = ("Prometheus", "prometheus")
    return [
        {"name": name, "label": label, "type": "datasource", "query": kind, "current": {}, "hide": 0}
        for name, (label, kind) in names.items()
    ]


def _variable(variable: Variable) -> dict[str, Any]:
    document: dict[str, Any] = {"name": variable.name, "label": variable.label, "multi": False, "hide": 0}
    if variable.choices:
        (text,) = [text for text, value in variable.choices if value == variable.default]
        return document | {
            "type": "custom",
            "query": ",".join(f"{text} : {value}" for text, value in variable.choices),
            "options": [
                {"text": text, "value": value, "selected": value == variable.default}
                for text, value in variable.choices
            ],
            "current": {"text": text, "value": variable.default},
        }
    current = {"text": variable.default, "value": variable.default} if variable.default else {}
    document |= {
        "type": "query",
        "datasource": _SOURCES["clickhouse"],
        "query": variable.query,
        "definition": variable.query,
        "refresh": 2,  # whenever the time that is shown changes
        "sort": 0,
        "includeAll": variable.with_all,
        "current": {"text": "All", "value": "$__all"} if variable.with_all else current,
    }
    return document | ({"allValue": EVERY} if variable.with_all else {})


def _panels(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    """Place rows below each other, and the panels of each from left to right."""
    documents: list[dict[str, Any]] = []
    number, y = 1, 0
    for row in rows:
        heading = {"id": number, "type": "row", "title": row.title, "collapsed": row.closed, "panels": []}
        heading["gridPos"] = {"x": 0, "y": y, "w": COLUMNS, "h": ROW_HEIGHT}
        number, y = number + 1, y + ROW_HEIGHT
        x = line_height = 0
        inside = []
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, line_height = 0, y + line_height, 0
            inside.append(_panel(panel, number, x, y))
            number, x, line_height = number + 1, x + panel.width, max(line_height, panel.height)
        y += line_height
        if row.closed:
            heading["panels"] = inside
        documents += [heading] if row.closed else [heading, *inside]
    return documents


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCES[panel.queries[0].source],
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": [_target(query, panel.kind) for query in panel.queries],
        "options": _OPTIONS[panel.kind],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
    }


def _target(query: Query, kind: str) -> dict[str, Any]:
    if query.source == "prometheus":
        return {
            "refId": query.name,
            "datasource": _SOURCES["prometheus"],
            "expr": query.text,
            "legendFormat": query.legend,
        }
    as_series = kind == "timeseries"
    return {
        "refId": query.name,
        "datasource": _SOURCES["clickhouse"],
        "editorType": "sql",
        "rawSql": query.text.strip(),
        "queryType": "timeseries" if as_series else "table",
        "format": 0 if as_series else 1,
        "pluginVersion": PLUGIN_VERSION,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.kind == "timeseries":
        defaults["custom"] = {"lineWidth": 1, "showPoints": "auto", "spanNulls": False}
        if panel.queries[0].source == "clickhouse":
            defaults["displayName"] = "${__field.labels.series}"
    if panel.series_link:
        title, address = panel.series_link
        defaults["links"] = [{"title": title, "url": address}]
    if panel.kind == "table":
        defaults["custom"] = {"align": "auto", "filterable": True}
    steps: list[dict[str, Any]] = [{"color": "text", "value": None}]
    if panel.alarm_above is not None:
        # The step is reached at its value, and figures here are whole.
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.alarm_above + 1}]
    return defaults | {"thresholds": {"mode": "absolute", "steps": steps}}


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    overrides = []
    if any(query.name == "provisional" for query in panel.queries):
        properties = [
            {"id": "displayName", "value": "${__field.labels.series} (provisional)"},
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [6, 6]}},
            {"id": "custom.fillOpacity", "value": 0},
        ]
        overrides.append(
            {"matcher": {"id": "byFrameRefID", "options": "provisional"}, "properties": properties}
        )
    for column, unit in panel.units:
        overrides.append(
            {"matcher": {"id": "byName", "options": column}, "properties": [{"id": "unit", "value": unit}]}
        )
    for column, title, address in panel.links:
        link = {
            "id": "links",
            "value": [{"title": title, "url": address, "targetBlank": column == "runbook"}],
        }
        overrides.append({"matcher": {"id": "byName", "options": column}, "properties": [link]})
    return overrides
