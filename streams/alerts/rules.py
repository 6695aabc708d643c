"""What a threshold rule says about one window: beyond its bound, within it, or unknown."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from schemas.figures import METRICS
from schemas.settings import RuleSettings

Verdict = Literal["beyond", "within", "unknown"]

# Figures that need no label: ``min_labelled`` does not hold them back.
WITHOUT_LABELS = frozenset(
    {
        "predictions",
        "failures",
        "labelled",
        "coverage",
        "estimated_accuracy",
        "latency_p50_ms",
        "latency_p95_ms",
        "latency_p99_ms",
        "cost",
        "cost_per_1000",
        "predictions_per_s",
        "success_rate",
    }
)


def check(rule: RuleSettings) -> None:
    """Raise ``ValueError`` for a rule that could never speak, with the remedy."""
    if rule.metric not in METRICS:
        known = ", ".join(METRICS)
        raise ValueError(f"rule {rule.name}: metric must be one of {known}; got {rule.metric!r}")
    if (rule.below is None) == (rule.above is None):
        raise ValueError(f"rule {rule.name}: give one of below and above; got {rule.below} and {rule.above}")
    if rule.on == "nowcast" and rule.metric != "accuracy":
        remedy = (
            'on = "all"' if rule.metric in WITHOUT_LABELS else 'on = "mature", or "all" for early figures'
        )
        raise ValueError(
            f'rule {rule.name}: on = "nowcast" is for metric = "accuracy", the only figure with a nowcast; '
            f"got {rule.metric!r}, for which {remedy} would do"
        )
    if rule.window_ms <= 0:
        raise ValueError(f"rule {rule.name}: window must be above 0; got {rule.window_ms} ms")


def concerns(rule: RuleSettings, model: str, segment: str) -> bool:
    """Return whether a rule looks at this model (a name or a pattern with ``*``) and segment."""
    return rule.segment == segment and fnmatchcase(model, rule.model)


def judge(rule: RuleSettings, figures: Mapping[str, Any]) -> tuple[Verdict, float | None]:
    """Return the verdict on one row of ``model_quality`` and the figure that it rests on.

    What is NULL, or has fewer labels than the rule wants, is unknown: it neither fires nor resolves. With
    ``on = "nowcast"`` the whole interval has to be beyond the bound.
    """
    low, high = _interval(rule, figures)
    if low is None or high is None:
        return "unknown", None
    if rule.metric not in WITHOUT_LABELS:
        # A window whose labels never came is passed by the frontier and yet not mature.
        skipped = rule.on == "mature" and not figures["is_mature"]
        if skipped or (figures["labelled"] or 0) < rule.min_labelled:
            return "unknown", None
    if rule.below is not None and high < rule.below:
        return "beyond", high
    if rule.above is not None and low > rule.above:
        return "beyond", low
    return "within", low if rule.below is not None else high


def _interval(rule: RuleSettings, figures: Mapping[str, Any]) -> tuple[float | None, float | None]:
    if rule.on == "nowcast":
        return figures["accuracy_nowcast_low"], figures["accuracy_nowcast_high"]
    value = figures[rule.metric]
    return value, value


def alert_name(rule_name: str) -> str:
    """Return a rule's name in the form that Alertmanager's users expect.

    Examples
    --------
    >>> alert_name("accuracy-low")
    'AccuracyLow'
    """
    words = "".join(c if c.isalnum() else " " for c in rule_name).split()
    return "".join(word[0].upper() + word[1:] for word in words)
