"""The evidence of an alert in the order in which a person asks for it."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from math import sqrt
from textwrap import indent
from typing import Any

import orjson

from aftcast.commands.explain_reading import Explanation, Row
from aftcast.commands.explain_statements import examples, statements

TITLE_WIDTH = 11
MOST_SIGNALS = 12
MOST_EVENTS = 20
Z_95 = 1.96


def lines(found: Explanation, zone: tzinfo | None) -> Iterator[str]:
    """Walk through what is printed.

    Parameters
    ----------
    zone
        The reader's time zone, shown beside UTC; None: that of the machine.
    """
    alert = found.alert
    told = len([row for row in found.history if row["status"] == "corrected"])
    yield f"{alert['labels'].get('alertname', alert['rule'])}  {found.status}  {alert['severity']}"
    yield f"{alert['summary']}"
    yield ""
    yield from _titled("fingerprint", [found.fingerprint])
    yield from _titled("what", _what(found))
    yield from _titled("since", _since(found, zone))
    yield from _titled("nearby", [_happening(row, zone) for row in found.lifecycle])
    yield from _titled("segments", _segments(found))
    yield from _titled("together", _together(found, zone))
    yield from _titled("examples", examples(found))
    yield from _titled("labels", _labels(found, zone))
    yield from _titled("hours", _hours(found, zone))
    yield from _titled("history", [_event(row, zone) for row in found.history[-MOST_EVENTS:]])
    if told:
        yield from _titled("", ["(corrected: late labels or more signals changed what was said before)"])
    if alert["runbook_url"]:
        yield from _titled("runbook", [alert["runbook_url"]])
    yield ""
    yield "To go on, each with aftcast sql or any client of ClickHouse:"
    for title, statement in statements(found):
        yield ""
        yield f"-- {title}"
        yield f"{statement};"


def document(found: Explanation) -> dict[str, Any]:
    """Return the same as one JSON object."""
    return {
        "fingerprint": found.fingerprint,
        "status": found.status,
        "is_mature": found.is_mature,
        "alert": found.alert,
        "change_start_ms": found.change_ms[0],
        "change_end_ms": found.change_ms[1],
        "examples": examples(found),
        "drifts": found.drifts,
        "lifecycle": found.lifecycle,
        "state": found.state,
        "windows": found.windows,
        "history": found.history,
        "sql": [{"title": title, "statement": statement} for title, statement in statements(found)],
    }


def when(time_ms: int, zone: tzinfo | None) -> str:
    """Return a time in UTC and in the reader's zone.

    Examples
    --------
    >>> from datetime import timedelta, timezone
    >>> when(0, timezone(timedelta(hours=1), "CET"))
    '1970-01-01 00:00:00 UTC (01:00:00 CET)'
    >>> when(0, UTC)
    '1970-01-01 00:00:00 UTC'
    """
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    here = moment.astimezone(zone)
    text = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    if not here.utcoffset():
        return text
    day = "" if here.date() == moment.date() else f"{here:%Y-%m-%d} "
    return f"{text} ({day}{here:%H:%M:%S} {here.tzname()})"


def _titled(title: str, texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        head = title if number == 0 else ""
        yield indent(text, " " * (TITLE_WIDTH + 1)).replace(
            " " * (TITLE_WIDTH + 1), f"{head:<{TITLE_WIDTH}} ", 1
        )


def _what(found: Explanation) -> Iterator[str]:
    alert, evidence = found.alert, found.evidence
    before, after = evidence.get("before"), evidence.get("after")
    if isinstance(before, int | float) and isinstance(after, int | float):
        low, high = evidence.get("change_low"), evidence.get("change_high")
        known = f"95 %: {low:+.4g} to {high:+.4g}" if low is not None and high is not None else "no interval"
        yield (
            f"{alert['metric'] or 'figure'} {before:.4g} -> {after:.4g}, {after - before:+.4g} ({known}), "
            f"found by {evidence.get('detector', 'a detector')}"
        )
        return
    if alert["value"] is None:
        return
    bound = "" if alert["threshold"] is None else f", held against {alert['threshold']:g}"
    yield f"{alert['metric']} {alert['value']:.4g}{_uncertainty(alert, evidence)}{bound}"


def _uncertainty(alert: Row, evidence: Row) -> str:
    low, high = evidence.get("accuracy_nowcast_low"), evidence.get("accuracy_nowcast_high")
    if low is not None and high is not None and evidence.get("accuracy_nowcast") is not None:
        return f" (nowcast, 95 %: {low:.4g} to {high:.4g})"
    n = evidence.get("labelled")
    if alert["metric"] not in ("accuracy", "accuracy_nowcast") or not n:
        return ""
    # Wilson (1927): holds near 0 and 1 too, where p +- 1.96 sd leaves [0, 1].
    p, z2 = alert["value"], Z_95 * Z_95
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return f" (95 %: {middle - half:.4g} to {middle + half:.4g})"


def _since(found: Explanation, zone: tzinfo | None) -> Iterator[str]:
    start_ms, end_ms = found.change_ms
    what = "changed between" if "change_start" in found.evidence else "in the window from"
    yield f"{what} {when(start_ms, zone)}"
    yield f"{'and' if what.startswith('changed') else 'to'} {when(end_ms, zone)}, event time"
    yield f"known at {when(found.alert['started_at_ms'], zone)}, when the evidence was complete"


def _happening(row: Row, zone: tzinfo | None) -> str:
    by = f" by {row['actor']}" if row["actor"] else ""
    message = f": {row['message']}" if row["message"] else ""
    return (
        f"{row['kind']} {row['model_version']}".strip()
        + f" at {when(row['timestamp_ms'], zone)}{by}{message}"
    )


def _segments(found: Explanation) -> Iterator[str]:
    told = found.evidence.get("segments")
    shares = orjson.loads(told) if isinstance(told, str) else {}
    if not shares:
        shares = next((row["segments"] for row in found.drifts if row["segments"]), {})
    for name, share in sorted(shares.items(), key=lambda item: -item[1])[:MOST_SIGNALS]:
        yield f"{name or 'the rest'} carries {share:.0%} of the change"


def _together(found: Explanation, zone: tzinfo | None) -> Iterator[str]:
    if len(found.drifts) < 2 and found.alert["kind"] == "drift":
        return
    for row in found.drifts[:MOST_SIGNALS]:
        name = f"{row['signal']} {row['feature']}".strip()
        where = f" in {row['segment']}" if row["segment"] else ""
        yield (
            f"{name}{where} {row['before']:.4g} -> {row['after']:.4g} "
            f"from {when(row['change_start_ms'], zone)} ({row['detector']})"
        )
    if len(found.drifts) > MOST_SIGNALS:
        yield f"and {len(found.drifts) - MOST_SIGNALS} more"


def _labels(found: Explanation, zone: tzinfo | None) -> Iterator[str]:
    evidence, state = found.evidence, found.state
    coverage, labelled = evidence.get("coverage"), evidence.get("labelled")
    if coverage is None:
        inside = [row for row in found.windows if row["window_start_ms"] >= found.change_ms[0] - 3_600_000]
        coverage = next((row["coverage"] for row in inside if row["coverage"] is not None), None)
        labelled = next((row["labelled"] for row in inside if row["coverage"] is not None), None)
    if coverage is not None:
        yield f"{labelled} labelled, {coverage:.0%} of the answered predictions"
    if state is None:
        return
    maturity = {True: "its labels are there", False: "labels are still to come, and may correct it"}
    mature = "mature" if found.is_mature else "not mature yet"
    yield f"the window is {mature}: {maturity[bool(found.is_mature)]}"
    horizon = "" if state["horizon_s"] is None else f", horizon {state['horizon_s'] / 3600:.3g} h"
    yield f"mature up to {when(state['mature_until_ms'], zone)}{horizon} ({state['maturity']})"
    if state["provable_change"] is not None:
        yield f"a day of labels proves a rise of the error by {100 * state['provable_change']:.2g} points"


def _hours(found: Explanation, zone: tzinfo | None) -> Iterator[str]:
    if not found.windows:
        return
    name = "accuracy" if any(row["accuracy"] is not None for row in found.windows) else "mae"
    yield f"{'from (UTC)':<16}  predictions  coverage  {name:>8}  mature"
    change_ms = found.change_ms[0]
    for row in found.windows:
        start_ms = row["window_start_ms"]
        mark = "  <- changed here" if start_ms <= change_ms < start_ms + 3_600_000 else ""
        at = datetime.fromtimestamp(start_ms / 1000, UTC)
        coverage = "-" if row["coverage"] is None else f"{row['coverage']:.0%}"
        figure = "-" if row[name] is None else f"{row[name]:.4g}"
        mature = ("yes" if row["is_mature"] else "no") + mark
        yield f"{at:%Y-%m-%d %H:%M}  {row['predictions']:>11}  {coverage:>8}  {figure:>8}  {mature}"


def _event(row: Row, zone: tzinfo | None) -> str:
    return f"{when(row['timestamp_ms'], zone)}  {row['status']:<9}  {row['summary']}"
