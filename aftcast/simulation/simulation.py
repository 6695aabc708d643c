"""A run of simulated traffic: blocks of predictions and the labels that fall due, in order of record time."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from aftcast.simulation.columns import (
    BoolArray,
    features_column,
    scalar_column,
    scores_column,
    segments_column,
)
from aftcast.simulation.events import INFERENCE, LABELS, Event, encode
from aftcast.simulation.faults import broken_event
from aftcast.simulation.labels import Labels, label_events
from aftcast.simulation.models import Answers, fraud_answers, price_answers
from schemas.columns import INFERENCE_FIELDS, LABEL_FIELDS
from schemas.records import IntArray

NORMAL_ERROR_RATE, RAISED_ERROR_RATE = 0.10, 0.25
FRAUD_SHARE = 0.7
REPEATED_SHARE = 0.003
BROKEN_SHARE = 0.001
_EVENTS_PER_BLOCK = 2000  # draws and encoding are whole arrays
_SHORTEST_BLOCK_MS, _LONGEST_BLOCK_MS = 500, 60_000


class Simulation:
    """Two models and their labels, the same for the same arguments, however it is cut into spans.

    Parameters
    ----------
    seed
        Of every draw.
    start_ms
        Event time of the beginning, in milliseconds since 1970.
    rate_per_s
        Events per second of event time, predictions and labels together.
    rise_ms, recovery_ms
        Event times between which the fraud model is wrong in 25 % of its answers instead of 10 %;
        None: it never changes, or never recovers.
    keep_truth
        Whether ``truth`` is filled: one document per prediction, for whoever checks the figures.
    """

    def __init__(
        self,
        seed: int,
        start_ms: int,
        rate_per_s: float,
        *,
        rise_ms: int | None = None,
        recovery_ms: int | None = None,
        keep_truth: bool = False,
    ) -> None:
        if rate_per_s <= 0:
            raise ValueError(f"rate_per_s must be above 0; got {rate_per_s}")
        self.seed = seed
        self.start_ms = start_ms
        # Of 100 events about 51 are predictions: 6 % of them get no label and 3.5 % get two.
        self.predictions_per_s = rate_per_s * 0.51
        self.rise_ms = rise_ms
        self.recovery_ms = recovery_ms
        self.block_ms = int(
            np.clip(_EVENTS_PER_BLOCK / rate_per_s * 1000, _SHORTEST_BLOCK_MS, _LONGEST_BLOCK_MS)
        )
        self.truth: list[dict[str, Any]] = []
        self._keep_truth = keep_truth
        self._next_block = 0
        self._due: defaultdict[int, list[Event]] = defaultdict(list)  # by the block that sends them

    def error_rate(self, timestamps_ms: IntArray) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return with which probability the fraud model is wrong at each time."""
        raised = np.zeros(len(timestamps_ms), np.bool_)
        if self.rise_ms is not None:
            raised = timestamps_ms >= self.rise_ms
            if self.recovery_ms is not None:
                raised &= timestamps_ms < self.recovery_ms
        return np.where(raised, RAISED_ERROR_RATE, NORMAL_ERROR_RATE)

    def blocks(self, until_ms: int) -> Iterator[list[Event]]:
        """Yield events in order of record time, block by block, up to the block that reaches ``until_ms``.

        A later call goes on where this one stopped.
        """
        while (begin_ms := self.start_ms + self._next_block * self.block_ms) < until_ms:
            # A generator of its own for each block: what is drawn does not depend on how far others got.
            draw = np.random.default_rng([self.seed, self._next_block])
            for event in self._block(draw, begin_ms):
                self._due[(event.time_ms - self.start_ms) // self.block_ms].append(event)
            due = sorted(self._due.pop(self._next_block, ()), key=_time)
            self._next_block += 1
            yield due

    def remaining(self) -> Iterator[list[Event]]:
        """Yield what comes after the last block, labels above all, without new predictions."""
        for block in sorted(self._due):
            yield sorted(self._due.pop(block), key=_time)

    def _block(self, draw: np.random.Generator, begin_ms: int) -> list[Event]:
        n = int(draw.poisson(self.predictions_per_s * self.block_ms / 1000))
        timestamps_ms = np.sort(draw.integers(begin_ms, begin_ms + self.block_ms, n))
        is_fraud = draw.random(n) < FRAUD_SHARE
        events: list[Event] = []
        fraud_ms, price_ms = timestamps_ms[is_fraud], timestamps_ms[~is_fraud]
        if len(fraud_ms):
            events += self._events(draw, fraud_answers(draw, self.error_rate(fraud_ms)), fraud_ms, begin_ms)
        if len(price_ms):
            events += self._events(draw, price_answers(draw, len(price_ms)), price_ms, begin_ms)
        for _ in range(draw.binomial(2 * n, BROKEN_SHARE) if events else 0):
            sample = events[int(draw.integers(len(events)))]
            events.append(broken_event(draw, int(draw.integers(begin_ms, begin_ms + self.block_ms)), sample))
        return events

    def _events(
        self, draw: np.random.Generator, answers: Answers, timestamps_ms: IntArray, begin_ms: int
    ) -> list[Event]:
        n = len(timestamps_ms)
        # The start is in the id: another run on the same topics makes no id a second time.
        prefix = f"{answers.model}-{self.start_ms:x}-{self._next_block}-"
        names = [f"{prefix}{i}" for i in range(n)]
        labels, outcome = label_events(draw, answers, timestamps_ms, begin_ms)
        record_times = timestamps_ms + draw.integers(2, 300, n)
        repeated = np.flatnonzero(draw.random(n) < REPEATED_SHARE)

        keys = [name.encode() for name in names]
        values = encode(INFERENCE, _inference_columns(names, answers, timestamps_ms))
        events = list(map(Event, [INFERENCE] * n, record_times.tolist(), keys, values))
        events += [
            Event(INFERENCE, int(record_times[i]) + 1000, keys[i], values[i]) for i in repeated.tolist()
        ]
        label_values = encode(LABELS, _label_columns(names, labels))
        rows = labels.rows.tolist()
        events += map(
            Event,
            [LABELS] * len(rows),
            labels.record_times_ms.tolist(),
            [keys[i] for i in rows],
            label_values,
        )
        if self._keep_truth:
            for i, name in enumerate(names):
                self.truth.append(
                    {
                        "prediction_id": name,
                        "model": answers.model,
                        "model_version": answers.versions[i],
                        "timestamp_ms": int(timestamps_ms[i]),
                        "status": answers.statuses[i],
                        "prediction": answers.predictions[i] if answers.statuses[i] == "ok" else None,
                        "label": answers.truths[i] if outcome.labelled[i] else None,
                        "label_known_ms": int(outcome.known_ms[i]),
                        "segments": {key: column[i] for key, column in answers.segments.items()},
                    }
                )
        return events


def _time(event: Event) -> int:
    return event.time_ms


def _inference_columns(names: list[str], answers: Answers, timestamps_ms: IntArray) -> pa.RecordBatch:
    n = len(names)
    failed = answers.statuses != "ok"
    no_text = pa.nulls(n, pa.string())
    no_scores = failed if answers.score_name else np.ones(n, np.bool_)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(names, pa.string()),
            pa.array([answers.model] * n, pa.string()),
            pa.array(answers.versions, pa.string()),
            pa.array(timestamps_ms, INFERENCE_FIELDS.field("timestamp").type),
            scalar_column(answers.predictions, failed),
            scores_column(answers.score_name, answers.scores, no_scores),
            features_column(answers.features, answers.missing),
            segments_column(answers.segments),
            pa.array(answers.statuses, pa.string()),
            pa.array(answers.latency_ms),
            pa.array(answers.cost),
            no_text,
            pa.array(answers.roles, pa.string()),
            no_text,
            no_text,
            *_bounds(answers, failed),
        ],
        schema=INFERENCE_FIELDS,
    )


def _bounds(answers: Answers, failed: BoolArray) -> list[pa.Array]:
    if answers.bounds is None:
        return [pa.nulls(len(failed), pa.float64())] * 2
    return [pa.array(bound, mask=failed) for bound in answers.bounds]


def _label_columns(names: list[str], labels: Labels) -> pa.RecordBatch:
    n = len(labels.rows)
    return pa.RecordBatch.from_arrays(
        [
            pa.array([names[i] for i in labels.rows.tolist()], pa.string()),
            pa.array([""] * n, pa.string()),
            scalar_column(labels.labels, labels.null),
            pa.array(labels.timestamps_ms, LABEL_FIELDS.field("timestamp").type),
            pa.array(["simulation"] * n, pa.string()),
            pa.nulls(n, pa.float64()),
            pa.array(labels.values, mask=np.isnan(labels.values) | labels.null),
        ],
        schema=LABEL_FIELDS,
    )
