"""The board for whoever is paged: is it traffic, failures, latency, labels or the model itself."""

from aftcast.dashboards.choices import (
    ANY_MODEL,
    CHOSEN,
    OF_CHOSEN_MODEL,
    OF_MODEL,
    OF_VERSION,
    SEGMENT,
    SERIES,
    VERSION,
    WINDOW,
    link_to,
    window,
)
from aftcast.dashboards.panels import Board, Panel, Query, Row
from aftcast.dashboards.statements import (
    MARKS_OF_CHOSEN,
    NEWEST_FIRST,
    OPEN_ALERTS,
    RUNBOOK,
    figures,
    figures_of_labels,
    open_alerts,
    several,
)

OF_ROW = {"model": "__data.fields.model", "version": "__data.fields.model_version"}
TO_DEBUG = link_to("debug", OF_ROW, ("segment", "window"))

_NOW = Row(
    "Now",
    (
        Panel(
            "Firing",
            "stat",
            (
                Query(
                    "SELECT countIf(severity = 'page') AS pages, countIf(severity = 'ticket') AS tickets\n"
                    f"FROM ({OPEN_ALERTS})\nWHERE {OF_CHOSEN_MODEL}"
                ),
            ),
            "Alerts of the chosen models that fire at the end of what is shown.",
            width=5,
            height=7,
            alarm_above=0,
        ),
        Panel(
            "Silence",
            "bargauge",
            (
                Query(
                    f"SELECT {SERIES}, greatest(0, dateDiff('second', max(pane_start), $__toTime)) AS "
                    "silent_s\n"
                    f"FROM aftcast.rollups\nWHERE $__timeFilter(pane_start) AND {OF_MODEL} AND {OF_VERSION} "
                    "AND segment = ''\n"
                    "GROUP BY model, model_version\nHAVING sum(predictions) > 0\nORDER BY silent_s DESC "
                    "LIMIT 20"
                ),
            ),
            "Since the beginning of the last pane that has predictions, by model and version: up to a pane's "
            "width and a few seconds is a version that has traffic.",
            unit="s",
            width=7,
            height=7,
        ),
        Panel(
            "Alerts that fire",
            "table",
            (Query(open_alerts(OF_CHOSEN_MODEL)),),
            "Pages first, with the runbook where the rule names one.",
            width=12,
            height=7,
            links=(
                ("model", "Debug board of this version", TO_DEBUG),
                ("runbook", "Runbook", "${__value.raw}"),
            ),
        ),
    ),
)
_CALLS = Row(
    "Calls",
    (
        Panel(
            "Failure rate",
            "timeseries",
            (figures("failures / predictions", "predictions > 0"),),
            "Share of calls whose status is not ok.",
            unit="percentunit",
        ),
        Panel(
            "How calls failed",
            "timeseries",
            (
                Query(
                    "SELECT window_start AS time, concat(model, ' ', model_version, ' ', status) AS series, "
                    "share AS figure\n"
                    f"FROM aftcast.status_shares(window_seconds = {WINDOW})\n"
                    f"WHERE $__timeFilter(window_start) AND {CHOSEN} AND status != 'ok'\nORDER BY time, "
                    "series"
                ),
            ),
            "Share of all calls by status.",
            unit="percentunit",
        ),
        Panel(
            "Latency",
            "timeseries",
            (several({"p95": "latency_p95_ms", "p99": "latency_p99_ms"}),),
            "Of all calls that carry one, failed ones too; within 2 %.",
            unit="ms",
        ),
        Panel(
            "Traffic",
            "timeseries",
            (figures("predictions_per_s"),),
            "Predictions per second of the window. The newest window is not full yet.",
            unit="ops",
            width=12,
        ),
        Panel(
            "Deployments",
            "table",
            (
                Query(
                    "SELECT timestamp AS time, model, model_version, kind, message, actor\n"
                    "FROM aftcast.lifecycle_events FINAL\n"
                    f"WHERE $__timeFilter(timestamp) AND {OF_MODEL}\n{NEWEST_FIRST}"
                ),
            ),
            "Lifecycle events, the newest first: deployments, promotions, rollbacks, maintenance.",
            width=12,
            links=(("model", "Debug board of this version", TO_DEBUG),),
        ),
    ),
)
_QUALITY = Row(
    "Quality",
    (
        Panel(
            "Accuracy",
            "timeseries",
            figures_of_labels("accuracy"),
            "Share of right answers by window. Dashed: provisional, and biased while labels are coming.",
            unit="percentunit",
        ),
        Panel(
            "Accuracy, nowcast",
            "timeseries",
            (
                several(
                    {
                        "nowcast": "accuracy_nowcast",
                        "at least": "accuracy_nowcast_low",
                        "at most": "accuracy_nowcast_high",
                    }
                ),
            ),
            "What windows will show when all their labels have come, with the 95 % interval; on mature "
            "windows "
            "it is the accuracy itself.",
            unit="percentunit",
        ),
        Panel(
            "Relative error",
            "timeseries",
            figures_of_labels("mape"),
            "Mean absolute error as a share of the truth, of models that predict numbers.",
            unit="percentunit",
        ),
        Panel(
            "Drift",
            "table",
            (
                Query(
                    "SELECT detected_at AS time, model, model_version, signal, feature, segment, before, "
                    "after, "
                    "change_start AS began, detector\nFROM aftcast.drift_events FINAL\n"
                    f"WHERE $__timeFilter(detected_at) AND {OF_MODEL} AND {OF_VERSION}\n{NEWEST_FIRST}"
                ),
            ),
            "Changes that detectors found: of which signal, from which level to which, and when it began.",
            width=24,
            links=(("model", "Debug board of this version", TO_DEBUG),),
        ),
        Panel(
            "What alerts said",
            "table",
            (
                Query(
                    f"SELECT timestamp AS time, status, severity, model, model_version, summary, {RUNBOOK}, "
                    "fingerprint\n"
                    f"FROM aftcast.alerts FINAL\nWHERE $__timeFilter(timestamp) AND {OF_CHOSEN_MODEL}\n"
                    f"{NEWEST_FIRST}"
                ),
            ),
            "Every change of state, the newest first. `aftcast explain FINGERPRINT` prints the evidence.",
            width=24,
            links=(
                ("model", "Debug board of this version", TO_DEBUG),
                ("runbook", "Runbook", "${__value.raw}"),
            ),
        ),
    ),
)
_LABELS = Row(
    "Labels",
    (
        Panel(
            "Coverage",
            "timeseries",
            figures_of_labels("coverage"),
            "Labelled share of answered predictions. Dashed: windows that are still to mature.",
            unit="percentunit",
        ),
        Panel(
            "Label delay",
            "timeseries",
            (several({"p50": "label_delay_p50_s", "p95": "label_delay_p95_s"}),),
            "From prediction to label, of those that have one: young windows show the quick ones only.",
            unit="s",
        ),
        Panel(
            "Label lag",
            "table",
            (
                Query(
                    "SELECT model, model_version, maturity, mature_until,\n"
                    "    greatest(0, dateDiff('second', mature_until, $__toTime)) AS behind_s,\n"
                    "    horizon_s, expected_coverage\nFROM aftcast.model_states FINAL\n"
                    f"WHERE {OF_MODEL} AND {OF_VERSION}\nORDER BY behind_s DESC LIMIT 200"
                ),
            ),
            "Up to when figures are mature, and how far that is behind. Much more than the horizon: labels "
            "are "
            "held up. `learning`: the horizon is not known yet.",
            units=(("behind_s", "s"), ("horizon_s", "s"), ("expected_coverage", "percentunit")),
            links=(("model", "Debug board of this version", TO_DEBUG),),
        ),
    ),
)
_STREAMS = Row(
    "aftcast itself",
    (
        Panel(
            "Lag",
            "timeseries",
            (
                Query(
                    "max by (partition) (aftcast_lag_seconds)",
                    source="prometheus",
                    legend="partition {{partition}}",
                ),
            ),
            "Record time still to be read, by input partition.",
            unit="s",
        ),
        Panel(
            "Not in ClickHouse yet",
            "timeseries",
            (Query("sum by (topic) (aftcast_raw_lag_records)", source="prometheus", legend="{{topic}}"),),
            "Records of each topic that the raw role has still to write. These boards lag by them; detection "
            "does not.",
        ),
        Panel(
            "Set aside, share of records",
            "timeseries",
            (
                Query(
                    "sum(rate(aftcast_inference_dead_lettered_total[$__rate_interval])) "
                    "/ (sum(rate(aftcast_inference_read_total[$__rate_interval])) > 0)",
                    name="predictions",
                    source="prometheus",
                    legend="predictions",
                ),
                Query(
                    "sum(rate(aftcast_labels_dead_lettered_total[$__rate_interval])) "
                    "/ (sum(rate(aftcast_labels_read_total[$__rate_interval])) > 0)",
                    name="labels",
                    source="prometheus",
                    legend="labels",
                ),
            ),
            "Dead letters among all that was read.",
            unit="percentunit",
        ),
        Panel(
            "Alerts on their way",
            "timeseries",
            (
                Query(
                    "max by (target) (aftcast_forward_failing_seconds)",
                    source="prometheus",
                    legend="{{target}}",
                ),
            ),
            "Since when each target of the forwarder has taken nothing; 0 is well.",
            unit="s",
        ),
    ),
    closed=True,
)

ON_CALL = Board(
    "on-call",
    "aftcast / On-call",
    "What is wrong now, since when, and what was deployed before.",
    "now-12h",
    (ANY_MODEL, VERSION, SEGMENT, window("300")),
    (_NOW, _CALLS, _QUALITY, _LABELS, _STREAMS),
    MARKS_OF_CHOSEN,
    leads_to=("executive", "debug"),
)
