"""The rows of the debug board about aftcast itself: joins, checkpoints, lag, and the cold join."""

from aftcast.dashboards.choices import OF_MODEL, WINDOW
from aftcast.dashboards.panels import Panel, Query, Row


def metric(expression: str, legend: str, name: str = "A") -> Query:
    return Query(expression, name=name, source="prometheus", legend=legend)


_JOIN = Row(
    "Join",
    (
        Panel(
            "Records",
            "timeseries",
            (
                metric(
                    "sum(rate(aftcast_inference_read_total[$__rate_interval]))", "predictions read", "read"
                ),
                metric("sum(rate(aftcast_labels_read_total[$__rate_interval]))", "labels read", "labels"),
                metric("sum(rate(aftcast_duplicates_total[$__rate_interval]))", "repeats", "repeats"),
                metric(
                    "sum(rate(aftcast_labels_left_cold_total[$__rate_interval]))", "labels left cold", "cold"
                ),
            ),
            "Per second, of all workers. Labels left cold are joined from ClickHouse.",
            unit="ops",
        ),
        Panel(
            "Waiting predictions",
            "timeseries",
            (metric("sum by (partition) (aftcast_waiting_predictions)", "partition {{partition}}"),),
            "Predictions in memory that labels may still meet.",
        ),
        Panel(
            "Memory",
            "timeseries",
            (
                metric(
                    "sum by (partition) (aftcast_waiting_bytes)",
                    "predictions, partition {{partition}}",
                    "waiting",
                ),
                metric("sum by (partition) (aftcast_pane_bytes)", "panes, partition {{partition}}", "panes"),
            ),
            "Of predictions and of panes, by input partition.",
            unit="bytes",
        ),
        Panel(
            "Labels without a prediction",
            "table",
            (
                Query(
                    "SELECT window_start AS time, model, labels, arrayStringConcat(examples, ', ') AS ids\n"
                    f"FROM aftcast.orphan_labels(window_seconds = {WINDOW})\n"
                    f"WHERE $__timeFilter(window_start) AND (model = '' OR {OF_MODEL})\nORDER BY time DESC "
                    "LIMIT 200"
                ),
            ),
            "Exact, from raw rows: it reads the ids of all predictions that are kept, so it may take a "
            "while.",
            width=24,
        ),
    ),
    closed=True,
)
_WORKERS = Row(
    "Workers",
    (
        Panel(
            "Consumer lag",
            "timeseries",
            (metric("max by (partition) (aftcast_lag_seconds)", "partition {{partition}}"),),
            "Record time still to be read in the slower topic.",
            unit="s",
        ),
        Panel(
            "Age of checkpoints",
            "timeseries",
            (metric("max by (partition) (aftcast_checkpoint_age_seconds)", "partition {{partition}}"),),
            "Since a partition's last checkpoint was committed.",
            unit="s",
        ),
        Panel(
            "Records still to be restored",
            "timeseries",
            (
                metric(
                    "sum by (partition) (aftcast_restore_records - aftcast_restored_records)",
                    "partition {{partition}}",
                ),
            ),
            "Of partitions that were taken over; 0 once they go on.",
        ),
    ),
    closed=True,
)
_COLD = Row(
    "Raw rows and cold join",
    (
        Panel(
            "Not in ClickHouse yet",
            "timeseries",
            (metric("max by (topic) (aftcast_raw_lag_seconds)", "{{topic}}"),),
            "Age of the oldest record of each topic that was fetched and is not written.",
            unit="s",
        ),
        Panel(
            "Backlog of the cold join",
            "timeseries",
            (
                metric("max(aftcast_cold_panes_waiting)", "panes", "panes"),
                metric("max(aftcast_cold_open_labels)", "labels without prediction", "labels"),
            ),
            "Panes that late events touched and labels whose prediction has not been found.",
        ),
        Panel(
            "Panes that wait, by model",
            "table",
            (
                Query(
                    "SELECT model, countIf(waiting_since IS NOT NULL) AS waiting, min(waiting_since) AS "
                    "oldest, "
                    "count() AS touched\nFROM aftcast.cold_panes FINAL\n"
                    f"WHERE $__timeFilter(pane_start) AND {OF_MODEL}\nGROUP BY model ORDER BY waiting DESC "
                    "LIMIT 200"
                ),
            ),
            "Panes within what is shown that late events touched: how many wait for the cold join, and since "
            "when.",
        ),
    ),
    closed=True,
)
STREAMS = (_JOIN, _WORKERS, _COLD)
