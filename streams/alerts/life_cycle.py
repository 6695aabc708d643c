"""The states of one alert: it fires once, and then is corrected, resolved or retracted."""

from dataclasses import dataclass, field

from schemas.findings import AlertEvent, Scalar, Severity, Status
from streams.alerts.fingerprint import event_id, fingerprint

# Events with equal fingerprint, status and window end are told apart by their number. More than this many
# different pairs of status and window end later, a repeat of the first is out of the question.
REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alert is about; nothing here changes while it lives."""

    alertname: str
    kind: str
    rule: str
    severity: Severity
    model: str = ""
    model_version: str = ""
    segment: str = ""
    metric: str = ""
    threshold: float | None = None
    runbook_url: str = ""
    subject: str = ""  # a topic or a partition, where it is about the streams and no model

    @property
    def labels(self) -> dict[str, str]:
        """Labels for Alertmanager, to which an empty label is the same as none."""
        labels = {
            "alertname": self.alertname,
            "model": self.model,
            "model_version": self.model_version,
            "segment": self.segment,
            "metric": self.metric,
            "severity": self.severity,
            "subject": self.subject,
        }
        return {name: value for name, value in labels.items() if value}


@dataclass(frozen=True, slots=True)
class Occasion:
    """When, how much and in which words: the part of an alert event that differs from event to event."""

    window_start_ms: int
    window_end_ms: int
    timestamp_ms: int
    summary: str
    value: float | None = None
    evidence: dict[str, Scalar] = field(default_factory=dict)
    # Where an alert is about several signals at once, these are no labels and may differ from event to event.
    segment: str = ""
    feature: str = ""
    metric: str = ""


class LifeCycle:
    """Says each change of state once, whoever asks how often."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.fired: AlertEvent | None = None  # the event by which it fires now
        self._fingerprint = fingerprint(subject.labels)
        self._said: dict[tuple[Status, int], int] = {}

    def fire(self, occasion: Occasion) -> list[AlertEvent]:
        """Return the firing event, nothing if it fires already."""
        if self.fired is not None:
            return []
        self.fired = self._event("firing", occasion, occasion.timestamp_ms, None)
        return [self.fired]

    def resolve(self, occasion: Occasion) -> list[AlertEvent]:
        """Return the resolved event, nothing if it does not fire."""
        if self.fired is None:
            return []
        started_at_ms, self.fired = self.fired.started_at_ms, None
        return [self._event("resolved", occasion, started_at_ms, None)]

    def correct(self, fired: AlertEvent, occasion: Occasion) -> list[AlertEvent]:
        """Return the event that gives what fired a new figure; it stays as it is, firing or resolved."""
        return [self._event("corrected", occasion, fired.started_at_ms, fired.event_id)]

    def retract(self, fired: AlertEvent, occasion: Occasion) -> list[AlertEvent]:
        """Return the event that takes back what fired, which ends it if it still fires."""
        if self.fired is fired:
            self.fired = None
        return [self._event("retracted", occasion, fired.started_at_ms, fired.event_id)]

    def _event(
        self, status: Status, occasion: Occasion, started_at_ms: int, corrects: str | None
    ) -> AlertEvent:
        same = (status, occasion.window_end_ms)
        earlier = self._said.pop(same, 0)
        self._said[same] = earlier + 1
        if len(self._said) > REMEMBERED:
            del self._said[next(iter(self._said))]
        subject = self.subject
        return AlertEvent(
            event_id=event_id(self._fingerprint, status, occasion.window_end_ms, earlier),
            fingerprint=self._fingerprint,
            status=status,
            severity=subject.severity,
            rule=subject.rule,
            kind=subject.kind,
            model=subject.model,
            window_start_ms=occasion.window_start_ms,
            window_end_ms=occasion.window_end_ms,
            started_at_ms=started_at_ms,
            timestamp_ms=occasion.timestamp_ms,
            summary=occasion.summary,
            corrects=corrects,
            model_version=subject.model_version,
            segment=subject.segment or occasion.segment,
            feature=occasion.feature,
            metric=subject.metric or occasion.metric,
            value=occasion.value,
            threshold=subject.threshold,
            runbook_url=subject.runbook_url,
            labels=subject.labels,
            evidence=occasion.evidence,
        )
