"""Alerts about the labels themselves: they stay away, or come later than the horizon that was configured."""

from dataclasses import dataclass

from schemas.findings import AlertEvent, Scalar
from streams.alerts.life_cycle import LifeCycle, Occasion, Subject


@dataclass(frozen=True, slots=True)
class MissingLabels:
    """Panes that are old enough to be mature and have too few labels: ``[since_ms, until_ms)`` is held."""

    since_ms: int
    until_ms: int
    coverage: float  # labelled share of the answered predictions in it
    expected_coverage: float
    labelled: int
    answered: int


@dataclass(frozen=True, slots=True)
class ShortHorizon:
    """What the delay curves say about a configured horizon: labels are delivered later than it."""

    horizon_ms: int
    needed_ms: int  # the horizon that the delivery calls for
    late_share: float  # of the labels that come at all, those that come after the horizon
    since_ms: int  # the mature panes it was learnt from
    until_ms: int
    labelled: int


class _LabelAlert:
    """The one alert of its kind that a model version can have; ``trouble_over`` says that it is over."""

    def __init__(
        self, alertname: str, kind: str, metric: str, model: str, model_version: str, trouble_over: str
    ) -> None:
        self.life = LifeCycle(
            Subject(
                alertname=alertname,
                kind=kind,
                rule=kind,
                severity="ticket",
                model=model,
                model_version=model_version,
                metric=metric,
            )
        )
        self._who, self._trouble_over = f"{model} {model_version}".strip(), trouble_over

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a version that is no longer watched."""
        return self._over(now_ms, "no traffic")

    def _over(self, now_ms: int, resolution: str) -> list[AlertEvent]:
        fired = self.life.fired
        if fired is None:
            return []
        text = f"{self._who}: {self._trouble_over} ({resolution})"
        return self.life.resolve(
            Occasion(fired.window_start_ms, now_ms, now_ms, text, None, {"resolution": resolution})
        )


class LabelsLate(_LabelAlert):
    """Fires while the maturity frontier is held for want of labels, so that a label outage is no drift."""

    def __init__(self, model: str, model_version: str) -> None:
        super().__init__(
            "LabelsLate", "labels_late", "coverage", model, model_version, "labels no longer late"
        )

    def advance(
        self, missing: MissingLabels | None, now_ms: int, *, withheld: bool = False, resolution: str = ""
    ) -> list[AlertEvent]:
        """Take in what is held now, None when nothing is; say so if that is news.

        Parameters
        ----------
        missing
            What is held; once it fires, how it grows is not told.
        now_ms
            Event time at which that is known.
        withheld
            During maintenance, when nothing begins to fire.
        resolution
            Why nothing is held any more: ``labels came`` if empty, ``skipped`` when the panes were given up.
        """
        if missing is None:
            return self._over(now_ms, resolution or "labels came")
        if withheld:
            return []
        coverage, usual = f"{missing.coverage:.0%}", f"{missing.expected_coverage:.0%}"
        text = (
            f"{self._who}: labels late, {coverage} labelled where {usual} is usual "
            f"({missing.labelled} of {missing.answered}); error drift is not judged meanwhile"
        )
        evidence: dict[str, Scalar] = {
            "coverage": missing.coverage,
            "expected_coverage": missing.expected_coverage,
            "labelled": missing.labelled,
            "answered": missing.answered,
        }
        return self.life.fire(
            Occasion(missing.since_ms, missing.until_ms, now_ms, text, missing.coverage, evidence)
        )


class HorizonTooShort(_LabelAlert):
    """Fires while labels are delivered later than the configured maturity horizon allows for."""

    def __init__(self, model: str, model_version: str) -> None:
        super().__init__(
            "HorizonTooShort",
            "horizon_too_short",
            "label_delay",
            model,
            model_version,
            "maturity horizon no longer too short",
        )

    def advance(self, found: ShortHorizon | None, now_ms: int, *, withheld: bool = False) -> list[AlertEvent]:
        """Take in what the delay curves say now, None when the horizon is long enough."""
        if found is None:
            return self._over(now_ms, "horizon is long enough")
        if withheld:
            return []
        text = (
            f"{self._who}: maturity horizon of {hours(found.horizon_ms)} is too short, "
            f"{found.late_share:.0%} of the labels come later; {hours(found.needed_ms)} would do"
        )
        evidence: dict[str, Scalar] = {
            "horizon_s": found.horizon_ms / 1000,
            "needed_s": found.needed_ms / 1000,
            "late_share": found.late_share,
            "labelled": found.labelled,
        }
        return self.life.fire(
            Occasion(found.since_ms, found.until_ms, now_ms, text, found.needed_ms / 1000, evidence)
        )


def hours(span_ms: int) -> str:
    """Return a duration as people say it.

    Examples
    --------
    >>> hours(5_400_000), hours(90_000), hours(259_200_000)
    ('1.5 h', '1.5 min', '3 d')
    """
    for unit, size_ms in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if span_ms >= size_ms * (2 if unit == "d" else 1):
            return f"{span_ms / size_ms:.3g} {unit}"
    return f"{span_ms / 1000:.3g} s"
