"""One signal of one scope: its panes in order of event time, and the drift events that they prove."""

from dataclasses import dataclass

from schemas.findings import DriftEvent
from schemas.signals import SignalPane
from streams.drift.era import Era, Watched
from streams.drift.history import History


@dataclass(frozen=True, slots=True)
class Found:
    """A drift event, and how large the change is at least."""

    drift: DriftEvent
    at_least: float


class Channel:
    """Says when a signal has changed for good; each change once, after which a new baseline begins."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._history = History()
        self._era = Era(watched)

    def feed(self, pane: SignalPane, horizon_ms: int) -> Found | None:
        """Take in the next pane; return the change that it completes the evidence of.

        ``horizon_ms`` is how long after its end the pane was complete.
        """
        fed, name, until_ms = self._era.feed(pane)
        if fed is None:
            return None
        self._history.append(fed.start_ms, fed.end_ms, fed.total, fed.squares, fed.n)
        return None if name is None else self._found(name, until_ms + horizon_ms)

    def _found(self, name: str, detected_at_ms: int) -> Found:
        placed = self._history.place(*self._era.known())
        self._history.forget(placed.likeliest_ms)
        self._era = Era(self._watched)
        watched, key = self._watched, self._watched.key
        drift = DriftEvent(
            model=watched.model,
            model_version=watched.model_version,
            segment=key.segment,
            feature=key.feature,
            signal=key.signal,
            detector=name,
            detected_at_ms=detected_at_ms,
            change_start_ms=placed.start_ms,
            change_end_ms=placed.end_ms,
            before=placed.before,
            after=placed.after,
            change_low=placed.low,
            change_high=placed.high,
        )
        return Found(drift, placed.at_least)
