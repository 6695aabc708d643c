"""What a partition holds in memory: events change the join and the panes, a rising floor empties both."""

import secrets
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.coded import ANSWERED, REGRESSION, CodedPredictions
from schemas.records import DeadLetter, IntArray
from schemas.settings import MonitorSettings
from streams.codes.coder import Coder
from streams.features.store import FeatureStore
from streams.join.hot import HotJoin, JoinResult, Meaning
from streams.join.layout import ACCEPTED, BELOW_FLOOR, DUPLICATE, REUSED
from streams.panes.rows import PaneRows
from streams.panes.store import PaneStore
from streams.partition.dead_letters import labels_no_numbers, reused_ids
from streams.partition.examples import Examples
from streams.partition.implicit import DueQueue, ImplicitSettings
from streams.partition.meaning import Meanings
from streams.partition.watermarks import Watermarks

SHARE_DROPPED_BY_CAP = 0.1  # of the waiting predictions, so that the cap does not raise the floor each batch


@dataclass(frozen=True, slots=True)
class Added:
    """What a batch did, as far as going back to it needs.

    ``early`` is the lowest offset of a label that met a prediction and came before the time of it, -1: none;
    ``reused`` the offsets of predictions that were set aside, as their id was taken.
    """

    early: int = -1
    reused: tuple[int, ...] = ()


class Memory:
    """Codes, join, panes, features and implicit labels of one partition.

    Parameters
    ----------
    partition
        Its number.
    floor_ms
        The hot floor to start with.
    monitor
        The pane's width, the segments whose features are counted, and what is fixed per model.
    topics
        Names of the inference and the label topic, for dead letters.
    """

    def __init__(
        self, partition: int, floor_ms: int, monitor: MonitorSettings, topics: tuple[str, str]
    ) -> None:
        self.width_ms = monitor.pane_width_ms
        self._partition = partition
        self._inference_topic, self._label_topic = topics
        self._coder = Coder(monitor.models, (secrets.randbits(64), secrets.randbits(64)), self.width_ms)
        self.vocabulary = vocabulary = self._coder.vocabulary
        self.join = HotJoin(floor_ms)
        self.panes = PaneStore(self.width_ms)
        self._examples = Examples(self.width_ms)
        self._rows = PaneRows(
            self.panes,
            partition,
            vocabulary.stream_names,
            vocabulary.segments.names.texts,
            vocabulary.class_text,
            vocabulary.statuses.texts,
        )
        self.features = FeatureStore(
            self.width_ms,
            partition,
            vocabulary.stream_names,
            vocabulary.segments.names.texts,
            monitor.segments,
        )
        self.watermarks = Watermarks(vocabulary.stream_names)
        self.implicit = ImplicitSettings(monitor.models)
        self._due = DueQueue(self.width_ms)
        self._meanings = Meanings(self._coder, self.implicit)
        self.dead_letters: list[DeadLetter] = []
        self.tests = self.implicit_cold = self.implicit_unusable = 0

    # -- events in -----------------------------------------------------------------------------------------

    def add_predictions(self, columns: pa.RecordBatch) -> Added:
        """Take in accepted predictions, in offset order."""
        coded, tests = self._coder.predictions(columns)
        self.tests += tests
        meaning = self._meanings.now()
        first = self.join.next_prediction
        result = self.join.add_predictions(coded, meaning)
        taken = np.flatnonzero(result.outcome == ACCEPTED)
        repeats = np.flatnonzero(result.outcome == DUPLICATE)
        self.panes.add_predictions(coded, taken, repeats, meaning.profiles)
        self.features.add(columns.column("features"), coded, taken, meaning.profiles)
        self._settle(result, meaning, columns)
        reused = np.flatnonzero(result.outcome == REUSED)
        if len(reused):
            self.dead_letters += reused_ids(
                self._inference_topic, self._partition, columns, coded.row[reused]
            )
        if self.implicit:
            self._await_implicit(coded, taken, first, meaning)
        used = result.outcome != BELOW_FLOOR
        self.watermarks.note(coded.stream[used], coded.time_ms[used])
        return Added(result.early, tuple(coded.offset[reused].tolist()))

    def add_labels(self, columns: pa.RecordBatch) -> Added:
        """Take in accepted labels, in offset order."""
        coded = self._coder.labels(columns)
        meaning = self._meanings.now()
        result = self.join.add_labels(coded, meaning)
        self._settle(result, meaning, columns)
        return Added(result.early)

    def give_implicit(self, until_ms: int) -> None:
        """Give the implicit labels that fall due at or before ``until_ms``."""
        if not self.implicit:
            return
        meaning = self._meanings.now()
        places = self._due.take(until_ms, lambda some: self.join.implicit_due_ms(some, meaning))
        if len(places):
            self._settle(self.join.give_implicit(places, meaning), meaning)

    # -- results out ---------------------------------------------------------------------------------------

    def rows(self, rows: IntArray, revision: int) -> pa.RecordBatch:
        """Return rows of the panes as ``PANE_COLUMNS``."""
        return self._rows.batch(rows, revision, self._examples.of)

    @property
    def scores_not_one(self) -> int:
        return self._coder.scores_not_one

    @property
    def waiting_bytes(self) -> int:
        return self.join.prediction_bytes + self._due.nbytes

    @property
    def pane_bytes(self) -> int:
        return self.panes.nbytes + self.features.nbytes + self._examples.nbytes

    @property
    def panes_in_memory(self) -> int:
        """Rows of panes, those of segments among them."""
        return len(self.panes)

    # -- forgetting ----------------------------------------------------------------------------------------

    def floor_for(self, max_bytes: int) -> int | None:
        """Return the floor that keeps what waits below ``max_bytes``, None where it is below anyway."""
        if self.waiting_bytes <= max_bytes or not self.join.waiting_predictions:
            return None
        time_ms = self.join.time_of_share(SHARE_DROPPED_BY_CAP)
        return (time_ms // self.width_ms + 1) * self.width_ms

    def raise_floor(self, floor_ms: int, revision: int) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch]]:
        """Forget what is below ``floor_ms``; return its last rows of panes and of features."""
        gone = self.panes.rows_below(floor_ms)
        changed = np.intersect1d(gone, self.panes.changed_rows())
        last = [self.rows(changed, revision)] if len(changed) else []
        self.panes.drop(gone)
        self._examples.drop_below(floor_ms)
        features = self.features.changed_rows(revision, floor_ms)
        self.features.drop_below(floor_ms)
        self.join.raise_floor(floor_ms, self._coder.profiles())
        return last, [features] if features.num_rows else []

    def forget_implicit_below_floor(self) -> None:
        """Leave implicit labels to the cold join whose predictions left memory before they fell due."""
        self.implicit_cold += self._due.keep(self.join.in_memory)

    # -- inside --------------------------------------------------------------------------------------------

    def _settle(self, result: JoinResult, meaning: Meaning, columns: pa.RecordBatch | None = None) -> None:
        changes = result.changes
        if len(changes):
            self._meanings.name_fractions(changes, meaning)
            self.panes.add_pairs(changes, meaning.profiles, self.join.vectors.ring)
            if columns is not None:
                self._examples.add(changes, columns.column("prediction_id"), meaning.profiles)
        self.dead_letters += labels_no_numbers(
            self._label_topic, self._partition, result.dead_labels, meaning.class_texts
        )

    def _await_implicit(self, coded: CodedPredictions, taken: IntArray, first: int, meaning: Meaning) -> None:
        """Queue predictions that may get an implicit label; ``first`` numbers the first of ``taken``."""
        flags = meaning.profiles.flags[coded.profile[taken]]
        stream = coded.stream[taken]
        after_ms = meaning.implicit.after_ms[stream]
        waits = (after_ms >= 0) & (flags & ANSWERED != 0)
        unusable = waits & (flags & REGRESSION != 0) & np.isnan(meaning.implicit.number[stream])
        self.implicit_unusable += int(unusable.sum())
        waits &= ~unusable
        if waits.any():
            due_ms = coded.time_ms[taken[waits]] + after_ms[waits]
            self._due.add(due_ms, first + np.flatnonzero(waits))
