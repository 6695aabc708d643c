"""One alert about drift from its firing on: which signals it lists, the gravest first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from schemas.findings import AlertEvent, DriftEvent
from schemas.settings import HOUR_MS
from schemas.signals import SignalKey
from streams.alerts.drift_words import evidence
from streams.alerts.life_cycle import LifeCycle, Occasion
from streams.alerts.moves import Move

TOGETHER_MS = 6 * HOUR_MS  # changes no further apart than this have one cause until the opposite is known


class What(TypedDict):
    """Fields of an alert event that are no labels where several signals share an alert."""

    metric: str
    segment: str
    feature: str


@dataclass(slots=True)
class Alarm:
    """The signals that an alert is about, those that are back included."""

    life: LifeCycle
    moves: dict[SignalKey, Move]
    fired: AlertEvent | None = None
    joined: list[Move] = field(default_factory=list)  # since it was told
    moved_on: list[Move] = field(default_factory=list)
    taken_over: bool = False  # its signals are listed by a page

    def away(self) -> list[Move]:
        return [move for move in self.moves.values() if move.ending is None]

    def drifts(self) -> list[DriftEvent]:
        return [move.drift for move in sorted(self.moves.values(), key=rank)]

    def near(self, move: Move) -> bool:
        """Return whether a change lies within six hours of one of those that are told."""
        start_ms, end_ms = move.drift.change_start_ms - TOGETHER_MS, move.drift.change_end_ms + TOGETHER_MS
        return any(
            start_ms <= other.drift.change_end_ms and other.drift.change_start_ms <= end_ms
            for other in self.away()
        )

    def occasion(self, who: str, at_ms: int, words: str) -> Occasion:
        """Return all that it is about, and the figures of the gravest change."""
        drifts = self.drifts()
        return Occasion(
            window_start_ms=min(drift.change_start_ms for drift in drifts),
            window_end_ms=max(move.window_end_ms for move in self.moves.values()),
            timestamp_ms=at_ms,
            summary=f"{who}: {words}",
            value=drifts[0].after,
            evidence=evidence(drifts),
            **what(drifts),
        )


def rank(move: Move) -> tuple[bool, bool, float, str]:
    """Sort what is away before what is over, errors before the rest, and the largest change first."""
    return move.ending is not None, move.key.signal != "error", -move.size, str(move.key)


def what(drifts: Sequence[DriftEvent]) -> What:
    """Return the gravest signal, and the segment and feature where all have the same."""
    segments, features = {drift.segment for drift in drifts}, {drift.feature for drift in drifts}
    return {
        "metric": drifts[0].signal,
        "segment": drifts[0].segment if len(segments) == 1 else "",
        "feature": drifts[0].feature if len(features) == 1 else "",
    }
