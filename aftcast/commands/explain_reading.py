"""What ClickHouse knows about one alert: its events, the drifts behind it, and what happened near them."""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from aftcast.failure import Failure
from sinks.clickhouse.client import Client

Row = dict[str, Any]
HOUR_MS = 3_600_000
NEAR_MS = 24 * HOUR_MS  # lifecycle events so long before the change are worth a look
TOGETHER_MS = 6 * HOUR_MS  # as in the alerts: changes no further apart than this are one story
AROUND_MS = 6 * HOUR_MS  # of figures, before the change and after it

# An alert over a whole model has no version, and every version is near then.
_NEWEST = """
SELECT fingerprint, argMax(status, timestamp) AS newest_status, argMax(summary, timestamp) AS newest_summary
FROM alerts FINAL
WHERE startsWith(fingerprint, {prefix:String})
GROUP BY fingerprint ORDER BY max(timestamp) DESC LIMIT 8
"""
# Within one time what began comes first, then what is said of it, then its end.
_HISTORY = """
SELECT
    event_id, fingerprint, status, corrects, severity, rule, kind, model, model_version, segment, feature,
    metric, value, threshold, summary, runbook_url, labels, evidence,
    toUnixTimestamp64Milli(window_start) AS window_start_ms,
    toUnixTimestamp64Milli(window_end) AS window_end_ms,
    toUnixTimestamp64Milli(started_at) AS started_at_ms,
    toUnixTimestamp64Milli(timestamp) AS timestamp_ms
FROM alerts FINAL
WHERE fingerprint = {fingerprint:String}
ORDER BY
    timestamp, started_at, indexOf(['firing', 'corrected', 'resolved', 'retracted'], toString(status)),
    event_id
"""
_DRIFTS = """
SELECT
    segment, feature, signal, detector, before, after, change_low, change_high, segments, examples,
    toUnixTimestamp64Milli(detected_at) AS detected_at_ms,
    toUnixTimestamp64Milli(change_start) AS change_start_ms,
    toUnixTimestamp64Milli(change_end) AS change_end_ms
FROM drift_events FINAL
WHERE model = {model:String} AND ({model_version:String} = '' OR model_version = {model_version:String})
    AND change_end_ms >= {from:Int64} AND change_start_ms <= {until:Int64}
ORDER BY signal != 'error', abs(after - before) DESC, signal, feature, segment, detected_at
"""
_LIFECYCLE = """
SELECT model_version, kind, message, actor, toUnixTimestamp64Milli(timestamp) AS timestamp_ms
FROM lifecycle_events FINAL
WHERE model = {model:String}
    AND ({model_version:String} = '' OR model_version IN ('', {model_version:String}))
    AND timestamp_ms BETWEEN {from:Int64} AND {until:Int64}
ORDER BY timestamp_ms, kind
"""
_STATE = """
SELECT
    model_version, task, maturity, horizon_s, expected_coverage, provable_change,
    toUnixTimestamp64Milli(mature_until) AS mature_until_ms
FROM model_states FINAL
WHERE model = {model:String} AND ({model_version:String} = '' OR model_version = {model_version:String})
ORDER BY as_of DESC LIMIT 1
"""
_WINDOWS = """
SELECT
    model_version, toUnixTimestamp(window_start) * 1000 AS window_start_ms, predictions, labelled, coverage,
    accuracy, accuracy_nowcast, accuracy_nowcast_low, accuracy_nowcast_high, mae, is_mature
FROM model_quality(window_seconds = 3600)
WHERE model = {model:String} AND model_version = {model_version:String} AND segment = {segment:String}
    AND window_start >= toDateTime({from:Int64}, 'UTC') AND window_start < toDateTime({until:Int64}, 'UTC')
ORDER BY window_start LIMIT 24
"""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Rows as they stand in ClickHouse, times as milliseconds since 1970 under names with ``_ms``.

    ``alert`` is the newest event that says what is wrong, ``history`` all of them in order.
    """

    fingerprint: str
    database: str
    alert: Row
    history: list[Row]
    drifts: list[Row] = field(default_factory=list)
    lifecycle: list[Row] = field(default_factory=list)
    state: Row | None = None  # what is known of the model version
    windows: list[Row] = field(default_factory=list)  # hours of model_quality around the change

    @property
    def evidence(self) -> Row:
        evidence: Row = self.alert["evidence"]
        return evidence

    @property
    def change_ms(self) -> tuple[int, int]:
        """Where the change lies, or the window that was beyond its bound."""
        found = self.evidence.get("change_start"), self.evidence.get("change_end")
        if isinstance(found[0], int) and isinstance(found[1], int):
            return found[0], found[1]
        return self.alert["window_start_ms"], self.alert["window_end_ms"]

    @property
    def status(self) -> str:
        """``firing``, ``resolved`` or ``retracted``: what the alert is now."""
        return next(
            (str(row["status"]) for row in reversed(self.history) if row["status"] != "corrected"), "firing"
        )

    @property
    def is_mature(self) -> bool | None:
        """Whether the labels of the alert's window are there; None where no label is involved or known."""
        if self.state is None:
            return None
        return bool(self.alert["window_end_ms"] <= self.state["mature_until_ms"])


def quoted(text: str) -> str:
    r"""Return a text as a literal of SQL.

    Examples
    --------
    >>> print(quoted("it's a \\"))
    'it\'s a \\'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def read(client: Client, database: str, prefix: str) -> Explanation:
    """Return all that is known of the alert whose fingerprint begins with ``prefix``.

    Parameters
    ----------
    client
        With ``database`` chosen.

    Raises
    ------
    Failure
        If there is no such alert, or several; it lists those that would do.
    ClickHouseError
        If ClickHouse is away or refuses.
    """
    fingerprint = _fingerprint(client, database, prefix.strip().lower())
    history = client.rows(_HISTORY, {"fingerprint": fingerprint})
    for row in history:
        row["evidence"] = {name: orjson.loads(value) for name, value in row["evidence"].items()}
    told = [row for row in history if row["status"] in ("firing", "corrected")]
    found = Explanation(fingerprint, database, told[-1] if told else history[-1], history)
    alert, (start_ms, end_ms) = found.alert, found.change_ms
    what = {name: alert[name] for name in ("model", "model_version", "segment")}
    around = {
        "from": (start_ms - AROUND_MS) // HOUR_MS * HOUR_MS // 1000,
        "until": (end_ms + AROUND_MS) // 1000,
    }
    near = {"from": start_ms - TOGETHER_MS, "until": alert["window_end_ms"] + TOGETHER_MS}
    before = {"from": alert["window_start_ms"] - NEAR_MS, "until": alert["window_end_ms"]}
    states = client.rows(_STATE, what)
    return replace(
        found,
        drifts=client.rows(_DRIFTS, what | near),
        lifecycle=client.rows(_LIFECYCLE, what | before),
        state=states[0] if states else None,
        windows=client.rows(_WINDOWS, what | around) if alert["model"] else [],
    )


def _fingerprint(client: Client, database: str, prefix: str) -> str:
    matches = client.rows(_NEWEST, {"prefix": prefix})
    if len(matches) == 1:
        return str(matches[0]["fingerprint"])
    if matches and prefix:
        raise Failure(f'"{prefix}" is the beginning of several fingerprints:\n{_listed(matches)}')
    newest = client.rows(_NEWEST, {"prefix": ""})
    if not newest:
        raise Failure(f"there is no alert in {database}.alerts yet")
    what = f'no alert has a fingerprint that begins with "{prefix}"' if prefix else "which alert?"
    raise Failure(f"{what}; the newest are:\n{_listed(newest)}")


def _listed(rows: list[Row]) -> str:
    return "\n".join(
        f"  {row['fingerprint']}  {row['newest_status']:<9}  {row['newest_summary']}" for row in rows
    )
