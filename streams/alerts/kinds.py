"""Every kind of alert there is, the evidence that it may carry, and the page that says what to do."""

from collections.abc import Mapping
from dataclasses import replace
from string import Template

from schemas.findings import AlertEvent

# In any alert about a model.
COMMON: Mapping[str, str] = {
    "resolution": "resolved: why, in words",
    "lifecycle": "firing: what was done to the model up to an hour before, such as `deployed 3.2`",
    "lifecycle_at": "firing: when, in milliseconds since 1970",
    "maintenance_since": "told while its model is in maintenance: since when, in milliseconds since 1970",
}
_SUBJECT = {
    "subject": "topic or partition that it is about",
    "source": "the partition that said so, where several can",
}
# Kind -> field of the evidence -> what it says; those about a model may have the common ones too.
EVIDENCE: Mapping[str, Mapping[str, str]] = {
    "threshold": {
        "predictions": "in the window",
        "failures": "calls that failed",
        "labelled": "labels that the figure rests on",
        "coverage": "labelled share of the answered",
        "is_mature": "whether the labels are all there",
        "accuracy_nowcast": '`on = "nowcast"`: the accuracy that the window will show',
        "accuracy_nowcast_low": "lower end of its 95 % interval",
        "accuracy_nowcast_high": "upper end",
        "reason": "corrected, retracted: `late labels`",
        "told": "corrected, retracted: the value that was told before",
    },
    "drift": {
        "before": "level of the gravest signal before the change",
        "after": "its level since",
        "detector": "which found it",
        "change_start": "earliest place of the change, milliseconds since 1970",
        "change_end": "latest place of it",
        "change_low": "lower end of the 95 % interval of after - before",
        "change_high": "upper end",
        "signals_moved": "how many signals there are in all",
        "signals": "JSON: up to fifty of them with their figures, largest first",
        "segments": "JSON: share of the change by segment, largest first",
        "examples": "JSON: prediction ids of wrong answers after the change",
        "labelled": "resolved: labels that the new level of the error rests on",
        "values": "resolved: values that the new level of another signal rests on",
        "reason": "corrected: `joined`, `moved on` or `late labels`; retracted: `late labels`",
        "told_before": "by late labels: level before the change as it was told",
        "told_after": "by late labels: level after it as it was told",
    },
    "silence": {"usual_per_minute": "predictions before the gap"},
    "labels_late": {
        "coverage": "labelled share of what is held",
        "expected_coverage": "the usual one",
        "labelled": "labels in what is held",
        "answered": "answered predictions in it",
    },
    "horizon_too_short": {
        "horizon_s": "the configured one",
        "needed_s": "the one that would do",
        "late_share": "of the labels that come at all, those after the horizon",
        "labelled": "labels that this was learnt from",
    },
    "dead_letters": {
        "read": "records in five minutes",
        "dead_lettered": "those that could not be used",
    },
    "partitioner": _SUBJECT,
    "state_gap": _SUBJECT,
}
KINDS = tuple(EVIDENCE)
OF_STREAMS = ("dead_letters", "partitioner", "state_gap")  # about no model


def with_runbook(alert: AlertEvent, pattern: str) -> AlertEvent:
    """Return the alert with the address of the page of its kind, unless its rule names one.

    Parameters
    ----------
    pattern
        The address, with ``$kind`` and ``$alertname`` for what differs; empty: none.

    Examples
    --------
    >>> from schemas.findings import AlertEvent
    >>> alert = AlertEvent("e", "f", "firing", "page", "drift", "drift", "fraud", 0, 1, 0, 1, "it fell")
    >>> with_runbook(alert, "https://wiki/aftcast/$kind").runbook_url
    'https://wiki/aftcast/drift'
    """
    if alert.runbook_url or not pattern:
        return alert
    names = {"kind": alert.kind, "alertname": alert.labels.get("alertname", "")}
    return replace(alert, runbook_url=Template(pattern).substitute(names))
