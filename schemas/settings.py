"""What a stage may be told: plain values, read from configuration by the front door."""

from dataclasses import dataclass, field
from typing import Literal

from schemas.findings import Severity, Task
from schemas.references import FeatureReference

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """How long predictions and labels wait in memory, and how much of it they may take."""

    hot_horizon_ms: int = DAY_MS
    max_waiting_bytes: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What ``[models.NAME]`` fixes; None: told from the data."""

    task: Task | Literal["classification"] | None = None
    positive: str | None = None
    maturity_horizon_ms: int | None = None
    implicit_label: str | None = None  # of predictions that have no label ...
    implicit_after_ms: int = DAY_MS  # ... this long after they were made
    reference: str | None = None  # file that `aftcast profile` wrote


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """One ``[[rules]]`` table: a bound on a column of ``model_quality``, over a sliding window."""

    name: str
    metric: str
    model: str = "*"
    segment: str = ""
    on: Literal["mature", "nowcast", "all"] = "mature"
    window_ms: int = HOUR_MS
    below: float | None = None
    above: float | None = None
    min_labelled: int = 100
    severity: Severity = "page"
    runbook_url: str = ""


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """A detector of river by its class name, with the arguments it is built with."""

    name: str
    parameters: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """What stage 2 goes by."""

    pane_width_ms: int = 60_000
    maturity_horizon_ms: int = DAY_MS
    models: dict[str, ModelSettings] = field(default_factory=dict)
    rules: tuple[RuleSettings, ...] = ()
    detectors: tuple[DetectorSettings, ...] = (
        DetectorSettings("ADWIN", {"clock": 1}),
        DetectorSettings("PageHinkley"),
    )
    silence_after_ms: int = 15 * 60_000
    dead_letter_share: float = 0.05
    learn_horizon: bool = False  # then maturity_horizon_ms holds nowhere, but those of models do
    false_alarms_per_month: float = 1.0  # per model, shared out over every signal
    smallest_change: float = 0.05  # of an error rate or a mean rank, that is worth an alert
    segments: tuple[str, ...] = ()  # "name=value", watched like all traffic
    runbook_url: str = "docs/runbooks/$kind.md"  # of alerts whose rule names none
    references: tuple[FeatureReference, ...] = ()  # from files; version '' is any version of the model
