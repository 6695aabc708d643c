"""The SQL to go on from an alert: statements that run as they stand."""

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson

from aftcast.commands.explain_reading import Explanation, quoted

DAY_MS = 86_400_000


def statements(found: Explanation) -> Iterator[tuple[str, str]]:
    """Walk through what a person would look at next: a title and a statement each."""
    alert, at = found.alert, found.database
    task = found.state["task"] if found.state else "binary"
    start_ms, end_ms = found.change_ms
    from_, until = _time(start_ms - DAY_MS), _time(end_ms + DAY_MS)
    who = f"model = {quoted(alert['model'])}"
    if alert["model_version"]:
        who += f" AND model_version = {quoted(alert['model_version'])}"
    if not alert["model"]:
        yield (
            "what was set aside, by reason",
            f"SELECT topic, reason, field, count() AS letters, any(value) AS example\n"
            f"FROM {at}.dead_letters FINAL\n"
            f"WHERE received_at >= {from_} AND received_at < {until}\n"
            f"GROUP BY topic, reason, field ORDER BY letters DESC",
        )
        return
    figures = "mae, bias" if task == "regression" else "accuracy, accuracy_nowcast"
    yield (
        "figures around the change, hour by hour",
        f"SELECT model_version, window_start, predictions, labelled, coverage, {figures}, is_mature\n"
        f"FROM {at}.model_quality(window_seconds = 3600)\n"
        f"WHERE {who} AND segment = {quoted(alert['segment'])}\n"
        f"  AND window_start >= {from_} AND window_start < {until}\n"
        "ORDER BY model_version, window_start",
    )
    if alert["kind"] in ("drift", "threshold"):
        yield from _where(found, who, task, from_, until)
    features = sorted({row["feature"] for row in found.drifts if row["feature"]})
    if features:
        yield (
            "the features that moved, against their reference",
            f"SELECT window_start, segment, feature, n, missing_share, psi, wasserstein, p_value, drifted\n"
            f"FROM {at}.feature_drift(window_seconds = 3600)\n"
            f"WHERE {who} AND feature IN ({', '.join(quoted(name) for name in features)})\n"
            f"  AND window_start >= {from_} AND window_start < {until}\n"
            "ORDER BY feature, segment, window_start",
        )
    yield "single predictions and what was true", _examples(found, who, task)


def _where(found: Explanation, who: str, task: str, from_: str, until: str) -> Iterator[tuple[str, str]]:
    at, change = found.database, _time(found.change_ms[0])
    side = f"if(window_start < {change}, 'before', 'after') AS side"
    when = f"window_start >= {from_} AND window_start < {until} AND is_mature"
    error = "mae" if task == "regression" else "1 - accuracy"
    yield (
        "which segments got worse",
        f"SELECT segment,\n"
        f"  sumIf(labelled * ({error}), window_start < {change})\n"
        f"    / nullIf(sumIf(labelled, window_start < {change}), 0) AS error_before,\n"
        f"  sumIf(labelled * ({error}), window_start >= {change})\n"
        f"    / nullIf(sumIf(labelled, window_start >= {change}), 0) AS error_after,\n"
        f"  sumIf(labelled, window_start >= {change}) AS labels_after\n"
        f"FROM {at}.model_quality(window_seconds = 3600)\n"
        f"WHERE {who} AND {when}\n"
        "GROUP BY segment\n"
        "ORDER BY labels_after * (error_after - error_before) DESC",
    )
    if task != "regression":
        yield (
            "which classes, before and after",
            f"SELECT {side}, class, sum(support) AS labels, sum(predicted) AS answers,\n"
            "  sum(true_positives) / nullIf(sum(predicted), 0) AS precision_of_side,\n"
            "  sum(true_positives) / nullIf(sum(support), 0) AS recall_of_side\n"
            f"FROM {at}.class_quality(window_seconds = 3600)\n"
            f"WHERE {who} AND segment = {quoted(found.alert['segment'])}\n"
            f"  AND window_start >= {from_} AND window_start < {until}\n"
            "GROUP BY side, class ORDER BY class, side DESC",
        )


def _examples(found: Explanation, who: str, task: str) -> str:
    at, ids = found.database, examples(found)
    start_ms, end_ms = found.change_ms
    if ids:
        chosen = f"prediction_id IN ({', '.join(quoted(one) for one in ids)})"
        wrong = ""
    else:
        chosen = f"timestamp >= {_time(start_ms)} AND timestamp < {_time(max(end_ms, start_ms + 3_600_000))}"
        wrong = "WHERE p.prediction != l.label\n" if task != "regression" else ""
    return (
        "SELECT p.prediction_id, p.timestamp, p.prediction, l.label, l.labelled_at, p.scores, p.segments, "
        "p.features\n"
        f"FROM (SELECT * FROM {at}.predictions FINAL WHERE {who} AND {chosen}) AS p\n"
        "LEFT JOIN (\n"
        # The latest label counts, of equal times the larger; null withdraws.
        "  SELECT prediction_id, max(timestamp) AS labelled_at,\n"
        "    argMax((label,), (timestamp, label IS NOT NULL, ifNull(label_number, 0), ifNull(label, ''))).1 "
        "AS label\n"
        f"  FROM {at}.labels FINAL WHERE model IN ('', {quoted(found.alert['model'])})\n"
        f"    AND prediction_id IN (SELECT prediction_id FROM {at}.predictions WHERE {who} AND {chosen})\n"
        "  GROUP BY prediction_id\n"
        ") AS l ON l.prediction_id = p.prediction_id\n"
        f"{wrong}"
        "ORDER BY p.timestamp LIMIT 10"
    )


def examples(found: Explanation) -> list[str]:
    """Return the prediction ids that the evidence names."""
    told = found.evidence.get("examples")
    if isinstance(told, str):
        return [str(one) for one in orjson.loads(told)]
    return next((list(row["examples"]) for row in found.drifts if row["examples"]), [])


def _time(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"toDateTime('{moment:%Y-%m-%d %H:%M:%S}', 'UTC')"
