"""One threshold rule over one model version: which windows it looks at, and what it says about them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.findings import AlertEvent, Scalar
from schemas.settings import RuleSettings
from streams.alerts.labels import hours
from streams.alerts.life_cycle import LifeCycle, Occasion, Subject
from streams.alerts.rules import Verdict, alert_name, judge

Figures = Mapping[str, Any]  # a row of model_quality
MOST_TOLD = 64  # windows that are followed, the newest
MOST_BEYOND = 120  # windows of one alert: it takes more late labels than there are to move so many
PACE = 6  # parts of a window: a figure that only moves is told again no sooner than that


@dataclass(slots=True)
class Told:
    """A window that an event has named, for as long as late labels may revise it."""

    event: AlertEvent  # firing or resolved
    verdict: Verdict
    value: float | None
    told_at_ms: int
    beyond: list[int] = field(default_factory=list)  # ends of the windows of this alert that were beyond
    settled: bool = False  # judged by labels that were all there
    owed: bool = False  # its figure has moved, and that is to be told
    mature_ms: int = 0  # up to where windows were mature when it was judged last

    @property
    def start_ms(self) -> int:
        return self.event.window_start_ms

    @property
    def end_ms(self) -> int:
        return self.event.window_end_ms


class Threshold:
    """Fires on the first window beyond the bound; resolved after a whole window's length within it.

    That length is the hysteresis. Neighbouring windows share nearly all their predictions, so a figure at
    its bound crosses it with every pane; a recovery counts when it rests on a window that shares nothing
    with the last one that was beyond. Likewise after a retraction.

    The state belongs to the newest window evaluated. Windows that events have named are followed: when late
    labels change what was said, a correction or retraction says so, and nothing else fires.
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
        self._told: list[Told] = []
        self._within_since_ms: int | None = None
        self._not_before_ms: int | None = None  # after a retraction: windows must start here or later

    def evaluate(
        self, end_ms: int, figures: Figures, timestamp_ms: int, *, withheld: bool
    ) -> list[AlertEvent]:
        """Take in the window that ends at ``end_ms``; windows come in order, the newest perhaps again."""
        start_ms = end_ms - self.rule.window_ms
        self.evaluated_ms = end_ms
        verdict, value = judge(self.rule, figures)
        if verdict == "unknown":
            return []
        occasion = self._occasion(start_ms, end_ms, timestamp_ms, value, figures)
        if verdict == "beyond":
            self._within_since_ms = None
            if self.life.fired is not None:
                self._beyond(end_ms)
                return []
            early = self._not_before_ms is not None and start_ms < self._not_before_ms
            return [] if withheld or early else self._said(self.life.fire(occasion), verdict)
        if self._within_since_ms is None:
            self._within_since_ms = end_ms
        if end_ms - self._within_since_ms >= self.rule.window_ms:
            return self._said(self.life.resolve(occasion), verdict)
        return []

    def revise(
        self,
        figures_of: Callable[[int, int], Figures],
        changed: Callable[[int, int], bool],
        *,
        mature_ms: int,
        now_ms: int,
    ) -> list[AlertEvent]:
        """Judge the windows that events have named by the labels known now.

        Parameters
        ----------
        figures_of, changed
            Of a window from its start to its end: its figures, and whether its panes have changed.
        mature_ms
            Younger windows wait until they end no later than this.
        """
        events: list[AlertEvent] = []
        for told in list(self._told):
            if told.end_ms > mature_ms or told not in self._told:
                continue
            reach_ms = max(told.beyond, default=told.end_ms) if told.verdict == "within" else told.end_ms
            # Younger windows of the alert change what they say by maturing, too.
            matured = self.rule.on != "mature" and told.verdict == "within" and told.mature_ms < mature_ms
            due = told.owed or not told.settled or matured or changed(told.start_ms, reach_ms)
            told.settled, told.mature_ms = True, mature_ms
            if due:
                events += self._judge_again(told, figures_of, now_ms)
        return events

    def forget(self, before_ms: int) -> None:
        """Stop following windows whose panes are no longer kept."""
        self._told = [told for told in self._told if told.start_ms >= before_ms]

    @property
    def follows(self) -> bool:
        """Whether there is a window whose revision would have to be told."""
        return bool(self._told)

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a version that is no longer watched."""
        text = f"{self._who()}: no traffic any more, {self.rule.metric} cannot be judged"
        evidence: dict[str, Scalar] = {"resolution": "no traffic"}
        return self.life.resolve(Occasion(now_ms - self.rule.window_ms, now_ms, now_ms, text, None, evidence))

    def _said(self, events: list[AlertEvent], verdict: Verdict) -> list[AlertEvent]:
        for event in events:
            settled = self.rule.on == "mature"
            told = Told(event, verdict, event.value, event.timestamp_ms, settled=settled)
            self._told = [*self._told, told][-MOST_TOLD:]
        return events

    def _beyond(self, end_ms: int) -> None:
        for told in self._told:
            if told.event is self.life.fired and len(told.beyond) <= MOST_BEYOND:
                told.beyond.append(end_ms)

    def _judge_again(
        self, told: Told, figures_of: Callable[[int, int], Figures], now_ms: int
    ) -> list[AlertEvent]:
        figures = figures_of(told.start_ms, told.end_ms)
        verdict, value = judge(self.rule, figures)
        if verdict == "unknown":
            return []
        occasion = self._occasion(told.start_ms, told.end_ms, now_ms, value, figures)
        if told.event.status == "firing" and verdict == "within":
            # While another alert fires, a retraction of this one would end that one too.
            alone = self.life.fired is None or self.life.fired is told.event
            if alone and not self._was_beyond(told, figures_of):
                # Its resolution is void with it.
                self._told = [
                    one for one in self._told if one.event.started_at_ms != told.event.started_at_ms
                ]
                self._not_before_ms = told.end_ms
                return self.life.retract(told.event, _again(occasion, told))
        told.owed = value != told.value
        paced = now_ms - told.told_at_ms < self.rule.window_ms // PACE
        first = told.value == told.event.value
        if verdict == told.verdict and (not told.owed or (paced and not first)):
            return []
        occasion = _again(occasion, told)
        told.verdict, told.value, told.told_at_ms, told.owed = verdict, value, now_ms, False
        return self.life.correct(told.event, occasion)

    def _was_beyond(self, told: Told, figures_of: Callable[[int, int], Figures]) -> bool:
        """Return whether any other window of an alert is beyond the bound by the labels known now."""
        return len(told.beyond) > MOST_BEYOND or any(
            judge(self.rule, figures_of(end_ms - self.rule.window_ms, end_ms))[0] == "beyond"
            for end_ms in told.beyond
            if end_ms != told.end_ms
        )

    def _occasion(
        self, start_ms: int, end_ms: int, timestamp_ms: int, value: float | None, figures: Figures
    ) -> Occasion:
        rule = self.rule
        bound = f"below {rule.below:g}" if rule.below is not None else f"above {rule.above or 0:g}"
        shown = "unknown" if value is None else f"{value:.4g}"
        coverage = figures["coverage"]
        labelled = "no answers" if coverage is None else f"{figures['labelled']} labelled, {coverage:.0%}"
        summary = (
            f"{self._who()}: {rule.metric} {shown} over {hours(rule.window_ms)} "
            f"({labelled}; rule {rule.name}: {bound})"
        )
        names = ["predictions", "failures", "labelled", "coverage", "is_mature"]
        if rule.on == "nowcast":
            names += ["accuracy_nowcast", "accuracy_nowcast_low", "accuracy_nowcast_high"]
        evidence = {name: figures[name] for name in names}
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


def _again(occasion: Occasion, told: Told) -> Occasion:
    was = "unknown" if told.value is None else f"{told.value:.4g}"
    more: dict[str, Scalar] = {"reason": "late labels", "told": told.value}
    return replace(
        occasion,
        summary=f"{occasion.summary}; by the labels known now, {was} before",
        evidence=occasion.evidence | more,
    )
