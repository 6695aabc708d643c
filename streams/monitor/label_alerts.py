"""Alerts about labels themselves: they are late, or the configured horizon does not wait for them."""

from schemas.findings import AlertEvent
from streams.alerts.life_cycle import LifeCycle, Occasion, Subject
from streams.maturity.holding import Held


class LabelsLate:
    """Told when the frontier of a model stops for want of labels, until it goes on."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._life = LifeCycle(
            Subject("LabelsLate", "labels_late", "labels_late", "ticket", model, metric="coverage")
        )

    def advance(
        self, held: Held | None, horizon_ms: int, now_ms: int, *, withheld: bool, skipped: bool
    ) -> list[AlertEvent]:
        """Compare with what was told last.

        ``withheld`` during maintenance, when nothing begins to fire; ``skipped`` says that the pane at which
        it began was given up.
        """
        fired = self._life.fired
        if held is None:
            if fired is None:
                return []
            resolution = "skipped" if skipped else "labels came"
            text = f"{self._model}: labels are coming again"
            if skipped:
                text += ", panes without them are skipped"
            return self._life.resolve(
                Occasion(fired.window_start_ms, now_ms, now_ms, text, evidence={"resolution": resolution})
            )
        if fired is not None or withheld:
            return []
        share = held.labelled / held.expected
        text = (
            f"{self._model}: labels are late: {share:.0%} of those expected after "
            f"{hours(horizon_ms)} are there; figures from here on are provisional"
        )
        evidence = {"expected": held.expected, "labelled": held.labelled, "horizon_ms": horizon_ms}
        return self._life.fire(
            Occasion(held.start_ms, held.end_ms, held.end_ms + horizon_ms, text, share, dict(evidence))
        )

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a model that is no longer watched."""
        fired = self._life.fired
        if fired is None:
            return []
        text = f"{self._model}: no traffic any more, no longer watched"
        evidence: dict[str, str | None] = {"resolution": "no traffic"}
        return self._life.resolve(Occasion(fired.window_start_ms, now_ms, now_ms, text, None, dict(evidence)))


class HorizonTooShort:
    """Told when labels come later than the configured horizon, and which one would do."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._life = LifeCycle(
            Subject(
                "HorizonTooShort",
                "horizon_too_short",
                "horizon_too_short",
                "ticket",
                model,
                metric="coverage",
            )
        )
        self._said_ms: int | None = None

    def advance(
        self, short: bool, configured_ms: int, needed_ms: int | None, now_ms: int
    ) -> list[AlertEvent]:
        """Compare with what was told last; ``needed_ms`` is None until it is known."""
        fired = self._life.fired
        begin_ms = now_ms - configured_ms
        if not short:
            self._said_ms = None
            text = f"{self._model}: a horizon of {hours(configured_ms)} waits for labels again"
            return self._life.resolve(Occasion(begin_ms, now_ms, now_ms, text))
        if fired is not None and needed_ms == self._said_ms:
            return []
        would_do = (
            "which one would do is being learnt" if needed_ms is None else f"{hours(needed_ms)} would do"
        )
        text = (
            f"{self._model}: less than 80 % of the labels come within the horizon of "
            f"{hours(configured_ms)}; {would_do}"
        )
        self._said_ms = needed_ms
        value = None if needed_ms is None else needed_ms / 1000
        evidence = {"horizon_ms": configured_ms, "needed_ms": needed_ms}
        if fired is None:
            return self._life.fire(Occasion(begin_ms, now_ms, now_ms, text, value, dict(evidence)))
        return self._life.correct(
            fired, Occasion(fired.window_start_ms, fired.window_end_ms, now_ms, text, value, dict(evidence))
        )

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a model that is no longer watched."""
        text = f"{self._model}: no traffic any more, no longer watched"
        return self._life.resolve(Occasion(now_ms, now_ms, now_ms, text, None, {"resolution": "no traffic"}))


def hours(duration_ms: int) -> str:
    """Return a duration as people say it.

    Examples
    --------
    >>> hours(5_400_000), hours(600_000)
    ('1.5 h', '10 min')
    """
    return (
        f"{duration_ms / 3_600_000:.3g} h" if duration_ms >= 3_600_000 else f"{duration_ms / 60_000:.3g} min"
    )
