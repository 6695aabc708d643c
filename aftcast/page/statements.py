"""Every statement that the page runs, by name: texts are constants, what a request says is only bound."""

from dataclasses import dataclass
from string import Template

from aftcast.page.distribution import DISTRIBUTION

LONGEST_QUERY_S = 10


@dataclass(frozen=True, slots=True)
class Statement:
    """One question to ClickHouse.

    Parameters
    ----------
    text
        SELECT without LIMIT; ``$database`` stands before tables, ``$of_model`` where a model narrows it.
    needs, takes
        What a request has to name, and what it may.
    most
        Rows at most; an answer with so many says that it is cut.
    fresh_s
        For how long an answer is given again to whoever asks the same: dear questions are asked less often.
    """

    text: str
    needs: tuple[str, ...] = ()
    most: int = 500
    fresh_s: float = 1.0
    takes: tuple[str, ...] = ()

    def sql(self, database: str, *, of_model: bool = False, figure: str = "") -> str:
        """Return the text that runs; ``figure`` is one of ``FIGURES``, ``database`` a plain word."""
        text = Template(self.text).substitute(
            database=database,
            of_model="AND model = {model:String}" if of_model else "",
            figure=figure,
            nowcast=_NOWCAST if figure == "accuracy" else "",
        )
        lines = "\n".join(line.rstrip() for line in text.strip().split("\n") if line.strip())
        return f"{lines}\nLIMIT {self.most}\nSETTINGS max_execution_time = {LONGEST_QUERY_S}"


_NOWCAST = (
    ",\n    accuracy_nowcast AS nowcast, accuracy_nowcast_low AS low, accuracy_nowcast_high AS high,"
    "\n    nowcast_reason"
)
_IN_WINDOWS = "window_start >= {start:DateTime('UTC')} AND window_start < {end:DateTime('UTC')}"
_QUALITY = "$database.model_quality(window_seconds = {window_s:UInt32})"
# The state is that of the newest event that is no correction; at equal times firing gives way.
_OPEN = """SELECT fingerprint FROM $database.alerts FINAL GROUP BY fingerprint
    HAVING argMaxIf(status, (timestamp, status != 'firing'), status != 'corrected') = 'firing'"""

# Columns that the page offers as the figure of its first chart.
FIGURES = (
    "accuracy", "precision", "recall", "f1", "auc", "log_loss", "brier", "ece", "mae", "rmse", "mape", "r2",
    "bias", "interval_coverage", "coverage", "success_rate", "latency_p50_ms", "latency_p95_ms",
    "latency_p99_ms", "label_delay_p50_s", "label_delay_p95_s", "predictions_per_s", "cost", "cost_per_1000",
    "value", "estimated_accuracy",
)  # fmt: skip

STATEMENTS = {
    "newest": Statement("SELECT max(pane_start) AS newest, count() > 0 AS has_rows\nFROM $database.rollups"),
    "states": Statement(
        "SELECT model, model_version, task, maturity, mature_until, horizon_s, expected_coverage,\n"
        "    provable_change, skipped, as_of\n"
        "FROM $database.model_states FINAL\nWHERE 1 $of_model\nORDER BY model, model_version",
        takes=("model",),
    ),
    "overview": Statement(
        "SELECT model, model_version, window_start, predictions, failures, labelled, coverage,\n"
        "    accuracy, mape, mae, accuracy_nowcast, is_mature\n"
        f"FROM {_QUALITY}\nWHERE segment = '' AND {_IN_WINDOWS}\n"
        "ORDER BY model, model_version, window_start",
        most=20_000,
    ),
    "quality": Statement(
        "SELECT model_version, window_start, predictions, failures, labelled, coverage, is_mature,\n"
        "    $figure AS figure$nowcast\n"
        f"FROM {_QUALITY}\n"
        f"WHERE model = {{model:String}} AND segment = {{segment:String}}\n    AND {_IN_WINDOWS}\n"
        "ORDER BY model_version, window_start",
        needs=("model", "segment", "figure"),
        most=5_000,
    ),
    "joins": Statement(
        "SELECT model, model_version, sum(q.predictions) AS predictions, sum(q.failures) AS failures,\n"
        "    sum(q.labelled) AS matched,\n"
        "    sumIf(q.predictions - q.failures - q.labelled, NOT is_mature) AS waiting,\n"
        "    sumIf(q.predictions - q.failures - q.labelled, is_mature) AS without_label,\n"
        "    sum(q.corrected_labels) AS corrected\n"
        f"FROM {_QUALITY} AS q\nWHERE segment = '' AND {_IN_WINDOWS} $of_model\n"
        "GROUP BY model, model_version\nORDER BY model, model_version",
        takes=("model",),
        fresh_s=2.0,
    ),
    "orphans": Statement(
        "SELECT model, sum(o.labels) AS labels, groupArrayArray(3)(o.examples) AS examples\n"
        "FROM $database.orphan_labels(window_seconds = {window_s:UInt32}) AS o\n"
        f"WHERE {_IN_WINDOWS}\nGROUP BY model\nORDER BY labels DESC, model",
        fresh_s=20.0,  # it reads the ids of all predictions
    ),
    "cold": Statement(
        "SELECT model, countIf(waiting_since IS NOT NULL) AS panes_waiting, min(waiting_since) AS oldest\n"
        "FROM $database.cold_panes FINAL\nWHERE 1 $of_model\nGROUP BY model\nORDER BY model",
        takes=("model",),
        fresh_s=5.0,
    ),
    # Features of a pane come when its partition closes it, its counts before: until then they look missing.
    # A partition that has had nothing for a whole window has nothing to close.
    "closed": Statement(
        "SELECT greatest(min(newest), max(newest) - toIntervalSecond({feature_window_s:UInt32})) AS closed\n"
        "FROM (\n"
        "    SELECT partition, max(pane_start) AS newest\n    FROM $database.feature_rollups\n"
        "    WHERE model = {model:String} AND partition >= 0\n"
        "        AND pane_start >= {end:DateTime('UTC')} - toIntervalSecond(2 * {feature_window_s:UInt32})\n"
        "    GROUP BY partition\n)\nHAVING count() > 0",
        needs=("model",),
        fresh_s=2.0,
    ),
    "features": Statement(
        "SELECT model_version, feature, window_start, n, missing_share, psi, p_value, drifted\n"
        "FROM $database.feature_drift(window_seconds = {feature_window_s:UInt32})\n"
        "WHERE model = {model:String} AND segment = {segment:String}\n"
        "    AND window_start >= {start:DateTime('UTC')} AND window_start < {full_end:DateTime('UTC')}\n"
        "ORDER BY feature, model_version, window_start",
        needs=("model", "segment"),
        most=20_000,
        fresh_s=4.0,
    ),
    "distribution": Statement(
        DISTRIBUTION,
        needs=("model", "version", "segment", "feature"),
        most=300,
        fresh_s=4.0,
    ),
    "delays": Statement(
        "SELECT model_version, pow(2, (bin - 1) / 4) AS age_s, arrived[bin] AS labelled,\n"
        "    arrived[bin] / answered AS share\n"
        "FROM (\n"
        "    SELECT r.model_version AS model_version, sum(r.predictions) - sum(r.failures) AS answered,\n"
        "        arrayReduce('sumForEach', arrayConcat(\n"
        "            mapValues(sumForEachMap(r.age_hits)), mapValues(sumForEachMap(r.age_misses))\n"
        "        )) AS labels,\n"
        "        arrayCumSum(labels) AS arrived\n"
        "    FROM $database.rollups AS r FINAL\n"
        "    INNER JOIN (SELECT * FROM $database.model_states FINAL WHERE maturity != 'learning') AS s\n"
        "        ON s.model = r.model AND s.model_version = r.model_version\n"
        "    WHERE r.model = {model:String} AND r.segment = {segment:String}\n"
        "        AND r.pane_start >= {start:DateTime('UTC')} AND r.pane_start < {end:DateTime('UTC')}\n"
        "        AND r.pane_start + toIntervalSecond(toUInt32(s.pane_s)) <= s.mature_until\n"
        "    GROUP BY model_version\n"
        ")\n"
        "ARRAY JOIN arrayFilter(i -> labels[i] > 0, arrayEnumerate(labels)) AS bin\n"
        "WHERE answered > 0\nORDER BY model_version, age_s",
        needs=("model", "segment"),
        fresh_s=4.0,
    ),
    "alerts": Statement(
        f"WITH open AS (\n    {_OPEN}\n)\n"
        "SELECT timestamp, status, severity, rule, kind, model, model_version, segment, feature, metric,\n"
        "    value, threshold, window_start, window_end, started_at, summary, runbook_url, evidence,\n"
        "    fingerprint, fingerprint IN open AS is_open\n"
        "FROM $database.alerts FINAL\n"
        "WHERE (timestamp >= {start:DateTime('UTC')} OR fingerprint IN open) $of_model\n"
        "ORDER BY timestamp DESC, status, fingerprint",
        takes=("model",),
    ),
    "drifts": Statement(
        "SELECT detected_at, model, model_version, segment, feature, signal, detector, change_start,\n"
        "    change_end, before, after\n"
        "FROM $database.drift_events FINAL\n"
        "WHERE detected_at >= {start:DateTime('UTC')} $of_model\n"
        "ORDER BY detected_at DESC, model, model_version, signal, feature, detector",
        takes=("model",),
    ),
    "lifecycle": Statement(
        "SELECT timestamp, kind, model, model_version, message, actor\n"
        "FROM $database.lifecycle_events FINAL\n"
        "WHERE timestamp >= {start:DateTime('UTC')} $of_model\n"
        "ORDER BY timestamp DESC, model, model_version, kind",
        takes=("model",),
    ),
    "dead_letters": Statement(
        "SELECT splitByChar(':', reason)[1] AS rule, topic, count() AS letters, max(received_at) AS newest,\n"
        "    argMax((field, value, reason, partition, offset), received_at) AS example\n"
        "FROM $database.dead_letters FINAL\n"
        "WHERE received_at >= {start:DateTime('UTC')}\n"
        "GROUP BY rule, topic\nORDER BY letters DESC, rule, topic",
        most=100,
    ),
    "segments": Statement(
        "SELECT segment, sum(predictions) AS answers\nFROM $database.rollups FINAL\n"
        "WHERE model = {model:String} AND pane_start >= {start:DateTime('UTC')}\n"
        "GROUP BY segment\nORDER BY segment",
        needs=("model",),
        fresh_s=10.0,
    ),
}
