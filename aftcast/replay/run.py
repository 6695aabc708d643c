"""Drives both stages through recorded events, pane by pane of event time, and writes what they find."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aftcast.configuration import Configuration
from aftcast.replay.features import feature_drift_rows
from aftcast.replay.files import Kind, read_events, read_lifecycle
from aftcast.replay.ordering import Recording, record
from aftcast.replay.output import Output, Windows
from schemas.findings import AlertEvent, DriftEvent, LifecycleEvent, Progress, StreamTotals
from schemas.records import DeadLetter, DecodedBatch
from schemas.settings import JoinSettings
from streams.decode import Decoder
from streams.monitor import Monitor
from streams.partition import PartitionStage

EVENTS_AT_ONCE = 50_000
NEVER_MS = 10**15  # a horizon that nothing leaves: in a replay everything stays joinable


def run_replay(
    inference: list[Path],
    labels: list[Path],
    lifecycle: list[Path],
    configuration: Configuration,
    window_ms: int,
    history: bool,
    until_ms: int | None,
    out: Path,
) -> dict[str, Any]:
    """Replay recorded events and write the results into ``out``.

    Returns
    -------
    dict
        What ``summary.json`` holds: counts that add up.

    Raises
    ------
    Failure
        If a file is not what its suffix says.
    """
    decoder = Decoder(privacy=configuration.privacy.settings())
    predictions = _recording("inference", inference, decoder)
    truths = _recording("label", labels, decoder)
    events: list[LifecycleEvent] = []
    letters: list[DeadLetter] = []
    for path in lifecycle:
        found, dead = read_lifecycle(path, decoder)
        events += found
        letters += dead
    replay = Replay(predictions, truths, events, configuration, window_ms, history=history)
    replay.run(until_ms)
    letters += [*predictions.dead_letters, *truths.dead_letters, *replay.dead_letters]
    output = Output(out)
    output.write("model_quality", replay.windows.model_quality())
    output.write("class_quality", replay.windows.class_quality())
    output.write("feature_drift", replay.feature_drift())
    output.write_drift_events(replay.drifts)
    output.write_alerts(replay.alerts)
    output.write_dead_letters(list(map(decoder.privacy.letter, letters)))
    if history:
        output.write("model_quality_history", replay.history)
    summary = replay.summary() | {"dead_letters": len(letters)}
    output.write_summary(summary)
    return summary


class Replay:
    """One run: the stages, where time stands, and what they have found so far."""

    def __init__(
        self,
        predictions: Recording,
        labels: Recording,
        lifecycle: list[LifecycleEvent],
        configuration: Configuration,
        window_ms: int,
        *,
        history: bool,
    ) -> None:
        settings = configuration.monitor_settings()
        self._predictions, self._labels = predictions, labels
        self._lifecycle = sorted(lifecycle, key=lambda event: event.timestamp_ms)
        self._width_ms, self._window_ms = settings.pane_width_ms, window_ms
        self._stage = PartitionStage(0, 1, -NEVER_MS, JoinSettings(2 * NEVER_MS, 10**18), settings)
        self._monitor = Monitor(settings)
        self.windows = Windows(self._stage, self._monitor, settings, window_ms)
        self._keeps_history = history
        # Learnt horizons are no fewer moments: their windows mature at the end of a pane.
        self._horizons_ms = {settings.maturity_horizon_ms} | {
            model.maturity_horizon_ms
            for model in settings.models.values()
            if model.maturity_horizon_ms is not None
        }
        self.drifts: list[DriftEvent] = []
        self.alerts: list[AlertEvent] = []
        self.history: list[dict[str, Any]] = []
        self.dead_letters: list[DeadLetter] = []
        self._applied = [0, 0, 0]

    def run(self, until_ms: int | None) -> None:
        """Take everything in, then let time stand at the last event, or run on to ``until_ms``."""
        times = [r.times_ms for r in (self._predictions, self._labels) if len(r.times_ms)]
        if not times:
            return
        first_ms, last_ms = int(min(t[0] for t in times)), int(max(t[-1] for t in times))
        end_ms = max(last_ms, until_ms or last_ms)
        for time_ms in self._moments(first_ms, end_ms):
            self._advance(time_ms)
        self._take(end_ms + 1)
        self._monitor_advance(end_ms)

    def _moments(self, first_ms: int, end_ms: int) -> Iterator[int]:
        """Yield every pane's end, and with a history the moments at which windows mature."""
        width_ms, window_ms = self._width_ms, self._window_ms
        moments = set(range((first_ms // width_ms + 1) * width_ms, end_ms + 1, width_ms))
        if self._keeps_history:
            for horizon_ms in self._horizons_ms:
                start_ms = (first_ms // window_ms + 1) * window_ms + horizon_ms
                moments |= set(range(start_ms, end_ms + 1, window_ms))
        yield from sorted(moments)

    def _advance(self, time_ms: int) -> None:
        self._take(time_ms)
        self._monitor_advance(time_ms)
        if self._keeps_history:
            self.history += self.windows.closed_at(time_ms)
            self.history += self.windows.matured_at(time_ms)

    def _take(self, before_ms: int) -> None:
        """Apply what happened before a moment."""
        for which, (recording, apply) in enumerate(
            (
                (self._predictions, self._stage.apply_inference),
                (self._labels, self._stage.apply_labels),
            )
        ):
            end = int(np.searchsorted(recording.times_ms, before_ms, "left"))
            while self._applied[which] < end:
                begin = self._applied[which]
                self._applied[which] = min(end, begin + EVENTS_AT_ONCE)
                apply(DecodedBatch(recording.columns.slice(begin, self._applied[which] - begin)))
                self.dead_letters += [recording.located(letter) for letter in self._stage.take_dead_letters()]
        while self._applied[2] < len(self._lifecycle):
            event = self._lifecycle[self._applied[2]]
            if event.timestamp_ms >= before_ms:
                break
            self._applied[2] += 1
            self._monitor.absorb_lifecycle(event.model, event.model_version, event.timestamp_ms, event.kind)

    def _monitor_advance(self, time_ms: int) -> None:
        self._stage.advance(time_ms, time_ms)
        changed = self._stage.take_changed()
        if changed.num_rows:
            self._monitor.absorb(changed)
        self._monitor.absorb_features(self._stage.take_changed_features(time_ms))
        self._monitor.absorb_totals(self._totals(time_ms))
        progress = Progress(0, 1, 1, inference_ms=time_ms, labels_ms=time_ms, caught_up=True)
        findings = self._monitor.advance([progress])
        self.drifts += findings.drifts
        self.alerts += findings.alerts

    def feature_drift(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of ``feature_drift``, against the references that are in force at the end."""
        return feature_drift_rows(self._stage, self._monitor.references(), self._window_ms)

    def _totals(self, time_ms: int) -> StreamTotals:
        counters = self._stage.counters
        read = counters.inference_read + counters.labels_read
        dead = counters.inference_dead_lettered + counters.labels_dead_lettered
        return StreamTotals(0, 1, time_ms, read, dead)

    def summary(self) -> dict[str, Any]:
        """Return counts that add up: ``read = accepted + duplicates + dead_lettered``, and so on."""
        counters, join = self._stage.counters, self._stage.counters.join
        refused = len(self._predictions.dead_letters), len(self._labels.dead_letters)
        unknown = dict(self._predictions.unknown_fields)
        for name, count in self._labels.unknown_fields.items():
            unknown[name] = unknown.get(name, 0) + count
        return {
            "inference": {
                "read": self._predictions.read,
                "accepted": join.accepted + counters.tests,
                "duplicates": join.duplicates,
                "dead_lettered": counters.inference_dead_lettered + refused[0],
                "tests": counters.tests,
                "scores_not_one": counters.scores_not_one,
            },
            "labels": {
                "read": self._labels.read,
                "accepted": join.labels,
                "dead_lettered": counters.labels_dead_lettered + refused[1],
                "joined": join.joined,
                "replaced": join.replaced,
                "waiting": join.waiting,
                "implicit": join.implicit - join.implicit_replaced,
            },
            "lifecycle": {"read": len(self._lifecycle)},
            "unknown_fields": dict(sorted(unknown.items())),
            "drift_events": len(self.drifts),
            "alerts": len(self.alerts),
        }


def _recording(kind: Kind, paths: list[Path], decoder: Decoder) -> Recording:
    return record(kind, ((str(path), batch) for path in paths for batch in read_events(path, kind, decoder)))
