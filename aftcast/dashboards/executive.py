"""The board for those who answer for the models: how good, what it earns and costs, what is open."""

from aftcast.dashboards.choices import ANY_MODEL, OF_CHOSEN_MODEL, OF_MODEL, WINDOW, link_to, window
from aftcast.dashboards.panels import Board, Panel, Query, Row
from aftcast.dashboards.statements import (
    MARKS_OF_CHOSEN,
    OPEN_ALERTS,
    by_model,
    by_model_of_labels,
    of_all_models,
    open_alerts,
)

TO_ON_CALL = link_to("on-call", {"model": "__data.fields.model"}, ("window",))
LINE_TO_ON_CALL = (
    "On-call board of this model",
    link_to("on-call", {"model": "__field.labels.series"}, ("window",)),
)
ALL_TRAFFIC = (
    f"aftcast.model_quality(window_seconds = {WINDOW})\n"
    f"WHERE $__timeFilter(window_start) AND segment = '' AND {OF_MODEL}"
)

_NOW = Row(
    "At a glance",
    (
        Panel(
            "Accuracy",
            "stat",
            (
                Query(
                    "SELECT sum(accuracy * labelled) / sum(labelled) AS accuracy_of_all\n"
                    f"FROM {ALL_TRAFFIC} AND is_mature AND accuracy IS NOT NULL AND labelled > 0"
                ),
            ),
            "Share of right answers of all classifying models, each by its number of labels. Only windows "
            "whose "
            "labels have come: younger ones are biased, since labels do not come at random.",
            unit="percentunit",
            width=4,
            height=5,
        ),
        Panel(
            "Open incidents",
            "stat",
            (
                Query(
                    "SELECT countIf(severity = 'page') AS pages, countIf(severity = 'ticket') AS tickets\n"
                    f"FROM ({OPEN_ALERTS})\nWHERE {OF_CHOSEN_MODEL}"
                ),
            ),
            "Alerts that fire and have been neither resolved nor retracted at the end of what is shown.",
            width=5,
            height=5,
            alarm_above=0,
        ),
        Panel(
            "Traffic on mature figures",
            "stat",
            (
                Query(
                    "SELECT sumIf(predictions, is_mature) / sum(predictions) AS share\n"
                    f"FROM {ALL_TRAFFIC} HAVING sum(predictions) > 0"
                ),
            ),
            "Share of predictions whose window is final but for rare corrections. The rest is too young, or "
            "its "
            "labels never came.",
            unit="percentunit",
            width=5,
            height=5,
        ),
        Panel(
            "Value and cost per 1,000",
            "stat",
            (
                Query(
                    "SELECT\n"
                    "    1000 * sum(value_sum) / nullIf(sum(value_n), 0) AS value_per_1000_labels,\n"
                    "    1000 * sum(cost_sum) / nullIf(sum(cost_n), 0) AS cost_per_1000_predictions\n"
                    "FROM aftcast.rollups FINAL\n"
                    f"WHERE $__timeFilter(pane_start) AND segment = '' AND {OF_MODEL}"
                ),
            ),
            "What labels say that outcomes were worth, and what predictions cost, in your own unit, by a "
            "thousand of those that carry one.",
            width=10,
            height=5,
        ),
    ),
)
_ACCURACY = "sum(accuracy * labelled) / sum(labelled)"
_TRENDS = Row(
    "Trends",
    (
        Panel(
            "Accuracy of all models",
            "timeseries",
            (
                of_all_models(_ACCURACY, "is_mature AND accuracy IS NOT NULL"),
                of_all_models(_ACCURACY, "NOT is_mature AND accuracy IS NOT NULL", "provisional"),
            ),
            "Share of right answers of all classifying models by window, each model by its number of labels. "
            "Dashed: provisional.",
            unit="percentunit",
            width=12,
        ),
        Panel(
            "Accuracy by model",
            "timeseries",
            by_model_of_labels("accuracy"),
            "Share of right answers by window, over all versions by their number of labels. Dashed: "
            "provisional, labels are still coming.",
            unit="percentunit",
            width=12,
            series_link=LINE_TO_ON_CALL,
        ),
        Panel(
            "Relative error by model",
            "timeseries",
            by_model_of_labels("mape"),
            "Mean absolute error as a share of the truth, of models that predict numbers. Dashed: "
            "provisional.",
            unit="percentunit",
            width=12,
            series_link=LINE_TO_ON_CALL,
        ),
        Panel(
            "Failed share by model",
            "timeseries",
            (by_model("sum(failures) / sum(predictions)", "predictions > 0"),),
            "Calls whose status is not ok, by traffic.",
            unit="percentunit",
            width=12,
            series_link=LINE_TO_ON_CALL,
        ),
        Panel(
            "Value per 1,000 predictions",
            "timeseries",
            (
                by_model("1000 * sum(value) / sum(predictions)", "is_mature AND value IS NOT NULL"),
                by_model(
                    "1000 * sum(value) / sum(predictions)",
                    "NOT is_mature AND value IS NOT NULL",
                    "provisional",
                ),
            ),
            "What outcomes were worth, by traffic, so that a busy day does not look like a good one.",
            width=12,
            series_link=LINE_TO_ON_CALL,
        ),
        Panel(
            "Cost per 1,000 predictions",
            "timeseries",
            (by_model("1000 * sum(cost) / sum(predictions)", "cost IS NOT NULL"),),
            "What predictions cost, by traffic.",
            width=12,
            series_link=LINE_TO_ON_CALL,
        ),
    ),
)
_LISTS = Row(
    "Models and incidents",
    (
        Panel(
            "Models",
            "table",
            (
                Query(
                    "SELECT\n    model,\n    sum(predictions) AS calls,\n    sum(failures) / "
                    "sum(predictions) AS failed,\n"
                    "    sum(labelled) / nullIf(sum(predictions) - sum(failures), 0) AS labelled_share,\n"
                    "    sumIf(predictions, is_mature) / sum(predictions) AS on_mature_figures,\n"
                    "    sumIf(accuracy * labelled, is_mature) / nullIf(sumIf(labelled, is_mature AND "
                    "accuracy IS NOT NULL), 0)"
                    " AS mature_accuracy,\n"
                    "    sumIf(mape * labelled, is_mature) / nullIf(sumIf(labelled, is_mature AND mape IS "
                    "NOT NULL), 0)"
                    " AS mature_relative_error,\n"
                    "    sum(value) AS earned,\n    sum(cost) AS spent\n"
                    f"FROM {ALL_TRAFFIC}\nGROUP BY model\nHAVING calls > 0\nORDER BY calls DESC LIMIT 200"
                ),
            ),
            "Each model over the whole span that is shown. A click on its name leads to the on-call board.",
            width=24,
            units=(
                ("failed", "percentunit"),
                ("labelled_share", "percentunit"),
                ("on_mature_figures", "percentunit"),
                ("mature_accuracy", "percentunit"),
                ("mature_relative_error", "percentunit"),
            ),
            links=(("model", "On-call board of this model", TO_ON_CALL),),
        ),
        Panel(
            "Incidents",
            "table",
            (Query(open_alerts(OF_CHOSEN_MODEL)),),
            "What fires at the end of what is shown, pages first, with the runbook where the rule names one.",
            width=24,
            links=(
                ("model", "On-call board of this model", TO_ON_CALL),
                ("runbook", "Runbook", "${__value.raw}"),
            ),
        ),
    ),
)

EXECUTIVE = Board(
    "executive",
    "aftcast / Executive",
    "How good the models are, what they earn and cost, and what is open.",
    "now-7d",
    (ANY_MODEL, window("3600")),
    (_NOW, _TRENDS, _LISTS),
    MARKS_OF_CHOSEN,
    leads_to=("on-call", "debug"),
)
