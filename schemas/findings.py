"""What stages tell each other and the world: progress, drift, alerts, and the state of a model."""

from dataclasses import dataclass, field
from typing import Literal

Task = Literal["binary", "multiclass", "regression"]
Maturity = Literal["ready", "learning", "labels_late", "horizon_too_short", "delays_changing"]
Status = Literal["firing", "resolved", "corrected", "retracted"]
Severity = Literal["page", "ticket", "info"]
Scalar = None | bool | int | float | str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one input partition has been read, in record time (milliseconds since 1970).

    ``inference_ms`` and ``labels_ms`` are the times up to which everything in that topic's partition is
    applied; a topic that is caught up and idle counts as at the tick. ``partitions`` is how many there are
    in all: a receiver that has not heard from each of them knows nothing yet. ``floor_ms`` is the hot floor:
    panes that start below it are final here, and what still comes for them is left to the cold join.
    ``inference_offset`` and ``label_offset`` are the next ones, and ``unmatched`` counts events that found no
    partner so far: labels waiting or left to the cold join, and predictions below the floor.
    """

    partition: int
    partitions: int
    epoch: int
    inference_ms: int
    labels_ms: int
    caught_up: bool
    floor_ms: int = 0
    inference_offset: int = 0
    label_offset: int = 0
    unmatched: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something about the streams themselves that a person must hear of, and later that it is over.

    ``kind`` names what it is (``partitioner``, ``state_gap``), ``subject`` where (a topic, a partition): of
    equal kind and subject the newest counts. ``summary`` names the remedy. ``source`` is who says it, where
    several do (the partitions of a topic): it is over when it is over for each of them.
    """

    kind: str
    subject: str
    summary: str
    at_ms: int
    over: bool = False
    severity: Severity = "page"
    source: str = ""


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
    """What stage 2 knows about one model version: its task, and up to when its panes are mature.

    ``skipped`` are intervals below ``mature_until_ms`` whose labels never came: they count as not mature.
    ``horizon_ms`` is the maturity horizon in force, None while it is being learnt; ``expected_coverage`` the
    share of answered predictions that ends up labelled; ``provable_change`` the smallest change of the error
    rate that a day's traffic can prove.
    """

    model: str
    model_version: str
    task: Task
    mature_until_ms: int
    as_of_ms: int
    maturity: Maturity = "ready"
    horizon_ms: int | None = None
    expected_coverage: float | None = None
    provable_change: float | None = None
    skipped: tuple[tuple[int, int], ...] = ()
    pane_width_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class DelayCurve:
    """How labels of one outcome arrive, learnt from mature panes.

    ``arrived[i]`` is the share of such predictions whose label is there at the upper edge of age bin ``i``
    (``schemas.panes.age_edge_ms``); the last one is less than 1 by what is never labelled. ``reliable`` is
    false while a change of the curve is being noticed. ``spread`` is what hours differ beyond chance: the
    variance of the share ``a`` that has come from an hour's answers, over ``a (1 - a)``.
    """

    model: str
    model_version: str
    predicted: str  # class; '' of a regression
    hit: bool  # whether the answer was right; true of a regression
    n: int  # labels it was learnt from
    arrived: tuple[float, ...]
    reliable: bool
    as_of_ms: int
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often answers are right by ``schemas.panes.confidence_bin``, learnt from mature panes."""

    model: str
    model_version: str
    n: int  # labelled pairs it was learnt from
    right: tuple[float, ...]  # shape (CONFIDENCE_BINS,), in [0, 1]
    as_of_ms: int


@dataclass(frozen=True, slots=True)
class Nowcast:
    """What a window's accuracy will be when it is mature, with a 95 % interval; or why nobody can say.

    All three are None where there is a ``reason``.
    """

    accuracy: float | None
    low: float | None
    high: float | None
    reason: str = ""


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
    change_low: float | None = None  # 95 % interval of after - before
    change_high: float | None = None
    segments: dict[str, float] = field(default_factory=dict)  # share of the change, largest first
    examples: tuple[str, ...] = ()  # prediction ids of the time after the change


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
