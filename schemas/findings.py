"""What stages tell each other and the world: progress, drift, alerts, and the state of a model."""

from dataclasses import dataclass, field
from typing import Literal

Task = Literal["binary", "multiclass", "regression"]
Status = Literal["firing", "resolved", "corrected", "retracted"]
Severity = Literal["page", "ticket", "info"]
Scalar = None | bool | int | float | str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one input partition has been read, in record time (milliseconds since 1970).

    ``inference_ms`` and ``labels_ms`` are the times up to which everything in that topic's partition is
    applied; a topic that is caught up and idle counts as at the tick. ``partitions`` is how many there are
    in all: a receiver that has not heard from each of them knows nothing yet.
    """

    partition: int
    partitions: int
    epoch: int
    inference_ms: int
    labels_ms: int
    caught_up: bool


@dataclass(frozen=True, slots=True)
class StreamTotals:
    """Running totals of one input partition, for rules over the share of dead letters; they never go back."""

    partition: int
    epoch: int
    time_ms: int
    read: int
    dead_lettered: int


@dataclass(frozen=True, slots=True)
class ModelState:
    """What stage 2 knows about one model version: its task, and up to when its panes are mature."""

    model: str
    model_version: str
    task: Task
    mature_until_ms: int
    as_of_ms: int


@dataclass(frozen=True, slots=True)
class DriftEvent:
    """A detector's finding: what changed, when the evidence was complete, where it places the change."""

    model: str
    model_version: str
    segment: str
    feature: str
    signal: str
    detector: str
    detected_at_ms: int
    change_start_ms: int
    change_end_ms: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One change of state of one alert; the fields of ``alert_event.avsc``, times in milliseconds."""

    event_id: str
    fingerprint: str
    status: Status
    severity: Severity
    rule: str
    kind: str
    model: str
    window_start_ms: int
    window_end_ms: int
    started_at_ms: int
    timestamp_ms: int
    summary: str
    corrects: str | None = None
    model_version: str = ""
    segment: str = ""
    feature: str = ""
    metric: str = ""
    value: float | None = None
    threshold: float | None = None
    runbook_url: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LifecycleEvent:
    """Something that happened to a model; the fields of ``lifecycle_event.avsc``, times in milliseconds."""

    model: str
    timestamp_ms: int
    kind: str
    model_version: str = ""
    message: str = ""
    actor: str = ""
    artifact_hash: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
