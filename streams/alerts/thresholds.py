"""One threshold rule over one model version: which windows it looks at, and what it says about them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.findings import AlertEvent, Scalar
from schemas.settings import RuleSettings
from streams.alerts.life_cycle import LifeCycle, Occasion, Subject
from streams.alerts.rules import Verdict, alert_name, judge

Figures = Mapping[str, Any]  # a row of model_quality


@dataclass(slots=True)
class Fired:
    """The window by which the alert fired last, for as long as late labels may revise it."""

    event: AlertEvent
    start_ms: int
    end_ms: int
    verdict: Verdict = "beyond"
    confirmed: bool = False  # whether it has been judged again by its mature figures


class Threshold:
    """Fires on the first window beyond the bound; resolved after a whole window's length within it.

    That length is the hysteresis. Neighbouring windows share nearly all their predictions, so a figure at
    its bound crosses it with every pane; a recovery counts when it rests on a window that shares nothing
    with the last one that was beyond. Likewise after a retraction.
    """

    def __init__(self, rule: RuleSettings, model: str, model_version: str) -> None:
        self.rule = rule
        self.evaluated_ms: int | None = None  # end of the newest window evaluated
        self.life = LifeCycle(
            Subject(
                alertname=alert_name(rule.name),
                kind="threshold",
                rule=rule.name,
                severity=rule.severity,
                model=model,
                model_version=model_version,
                segment=rule.segment,
                metric=rule.metric,
                threshold=rule.below if rule.below is not None else rule.above,
                runbook_url=rule.runbook_url,
            )
        )
        self._fired: Fired | None = None
        self._newest: Verdict = "unknown"
        self._within_since_ms: int | None = None
        self._not_before_ms: int | None = None  # after a retraction: windows must start here or later

    @property
    def revisable(self) -> tuple[int, int] | None:
        """The window, as start and end, whose revision would have to be told; None without one."""
        return None if self._fired is None else (self._fired.start_ms, self._fired.end_ms)

    @property
    def unconfirmed(self) -> bool:
        """Whether the window fired on labels that were not all there, and waits for its mature figures."""
        return self.rule.on == "all" and self._fired is not None and not self._fired.confirmed

    def evaluate(
        self, end_ms: int, figures: Figures, timestamp_ms: int, *, withheld: bool
    ) -> list[AlertEvent]:
        """Take in the window that ends at ``end_ms``; windows come in order, the newest perhaps again."""
        start_ms = end_ms - self.rule.window_ms
        self.evaluated_ms = end_ms
        verdict, value = judge(self.rule, figures)
        self._newest = verdict
        if verdict == "unknown":
            return []
        occasion = self._occasion(start_ms, end_ms, timestamp_ms, value, figures)
        if verdict == "beyond":
            self._within_since_ms = None
            early = self._not_before_ms is not None and start_ms < self._not_before_ms
            if withheld or early:
                return []
            events = self.life.fire(occasion)
            if events:
                self._fired = Fired(events[0], start_ms, end_ms)
            return events
        if self._within_since_ms is None:
            self._within_since_ms = end_ms
        if end_ms - self._within_since_ms >= self.rule.window_ms:
            return self.life.resolve(occasion)
        return []

    def revise(self, figures: Figures, timestamp_ms: int) -> list[AlertEvent]:
        """Take in the newest figures of the window that fired; say so if they crossed the bound."""
        fired = self._fired
        if fired is None:
            return []
        fired.confirmed = True
        verdict, value = judge(self.rule, figures)
        if verdict in ("unknown", fired.verdict):
            return []
        fired.verdict = verdict
        occasion = self._occasion(fired.start_ms, fired.end_ms, timestamp_ms, value, figures)
        still_wrong = self.life.fired is fired.event and self._newest == "beyond"
        if verdict == "within" and (not still_wrong or self.evaluated_ms == fired.end_ms):
            self._fired, self._not_before_ms = None, fired.end_ms
            return self.life.retract(fired.event, occasion)
        return self.life.correct(fired.event, occasion)

    def forget(self, before_ms: int) -> None:
        """Stop following a window whose panes are no longer kept."""
        if self._fired is not None and self._fired.start_ms < before_ms:
            self._fired = None

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a version that is no longer watched."""
        text = f"{self._who()}: no traffic any more, {self.rule.metric} cannot be judged"
        evidence: dict[str, Scalar] = {"resolution": "no traffic"}
        return self.life.resolve(Occasion(now_ms - self.rule.window_ms, now_ms, now_ms, text, None, evidence))

    def _occasion(
        self, start_ms: int, end_ms: int, timestamp_ms: int, value: float | None, figures: Figures
    ) -> Occasion:
        rule = self.rule
        bound = f"below {rule.below:g}" if rule.below is not None else f"above {rule.above or 0:g}"
        shown = "unknown" if value is None else f"{value:.4g}"
        coverage = figures["coverage"]
        labelled = "no answers" if coverage is None else f"{figures['labelled']} labelled, {coverage:.0%}"
        summary = (
            f"{self._who()}: {rule.metric} {shown} over {_span(rule.window_ms)} "
            f"({labelled}; rule {rule.name}: {bound})"
        )
        evidence = {
            name: figures[name] for name in ("predictions", "failures", "labelled", "coverage", "is_mature")
        }
        return Occasion(start_ms, end_ms, timestamp_ms, summary, value, dict(evidence))

    def _who(self) -> str:
        subject = self.life.subject
        return " ".join(part for part in (subject.model, subject.model_version, subject.segment) if part)


def evaluate_range(
    watch: Threshold,
    ends: range,
    figures_of: Callable[[int, int], Figures],
    timestamp_of: Callable[[int], int],
    withheld: Callable[[int, int], bool],
) -> list[AlertEvent]:
    """Evaluate the windows with these ends, in order."""
    events: list[AlertEvent] = []
    for end_ms in ends:
        start_ms = end_ms - watch.rule.window_ms
        events += watch.evaluate(
            end_ms, figures_of(start_ms, end_ms), timestamp_of(end_ms), withheld=withheld(start_ms, end_ms)
        )
    return events


def _span(span_ms: int) -> str:
    for unit, size_ms in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if span_ms % size_ms == 0:
            return f"{span_ms // size_ms} {unit}"
    return f"{span_ms} ms"
