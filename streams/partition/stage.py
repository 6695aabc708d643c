"""Stage 1 of one partition: codes, join and panes, one batch in, changed panes out.

Pure: no clock, no I/O. The same code runs behind Faust, behind ``aftcast replay`` and in tests.
"""

import secrets
from collections import deque
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from schemas.checkpoints import FloorStep
from schemas.coded import ANSWERED, REGRESSION, CodedPredictions
from schemas.panes import PANE_COLUMNS
from schemas.records import DeadLetter, DecodedBatch, IntArray
from schemas.settings import JoinSettings, MonitorSettings
from streams.codes.coder import Coder
from streams.features.names.slots import LeftOut
from streams.features.store import FeatureStore
from streams.join.hot import HotJoin, JoinResult, Meaning
from streams.join.layout import ACCEPTED, BELOW_FLOOR, DUPLICATE, REUSED
from streams.panes.rows import PaneRows
from streams.panes.store import PaneStore
from streams.partition.counters import StageCounters
from streams.partition.dead_letters import labels_no_numbers, reused_ids
from streams.partition.examples import Examples
from streams.partition.implicit import DueQueue, ImplicitSettings
from streams.partition.meaning import Meanings
from streams.partition.reading import chosen_rows
from streams.partition.watermarks import Watermarks

FLOOR_STEPS_KEPT = 10_000  # a week of minutes; the oldest go
SHARE_DROPPED_BY_CAP = 0.1  # of the waiting predictions, so that the cap does not raise the floor each batch
NO_ROWS = pa.RecordBatch.from_pylist([], PANE_COLUMNS)  # made once: quiet panes come by the thousand
ROWS_AT_ONCE = 4_096  # of panes read out
FEATURE_ROWS_AT_ONCE = 256  # of panes, each with all its features
EPOCH_SHIFT = 44  # of a revision: the epoch, then the offsets applied in both topics


class PartitionStage:
    """Joins and counts the events of one partition of both input topics.

    Parameters
    ----------
    partition
        Its number.
    epoch
        How often the partition has been claimed; newer rows replace those of an older epoch.
    floor_ms
        The hot floor to start with: nothing below it is counted here.
    join, monitor
        Settings; of ``monitor`` only the pane's width and what is fixed per model.
    topics
        Names of the inference and the label topic, for dead letters.
    """

    def __init__(
        self,
        partition: int,
        epoch: int,
        floor_ms: int,
        join: JoinSettings,
        monitor: MonitorSettings,
        topics: tuple[str, str] = ("inference-events", "label-events"),
    ) -> None:
        self.partition = partition
        self.epoch = epoch
        self._inference_topic, self._label_topic = topics
        self._settings = join
        self._max_waiting_bytes = join.max_waiting_bytes
        self._width_ms = monitor.pane_width_ms
        self._coder = Coder(monitor.models, (secrets.randbits(64), secrets.randbits(64)), self._width_ms)
        self._join = HotJoin(floor_ms)
        self._panes = PaneStore(self._width_ms)
        self._examples = Examples(self._width_ms)
        vocabulary = self._coder.vocabulary
        self._rows = PaneRows(
            self._panes,
            partition,
            vocabulary.stream_names,
            vocabulary.segments.names.texts,
            vocabulary.class_text,
            vocabulary.statuses.texts,
        )
        self.features = FeatureStore(
            self._width_ms,
            partition,
            vocabulary.stream_names,
            vocabulary.segments.names.texts,
            monitor.segments,
        )
        self._last_features: list[pa.RecordBatch] = []
        self.next_inference_offset = 0
        self.next_label_offset = 0
        self.floor_steps: deque[FloorStep] = deque(maxlen=FLOOR_STEPS_KEPT)
        self._last_rows: list[pa.RecordBatch] = []
        self._dead_letters: list[DeadLetter] = []
        self._watermarks = Watermarks(vocabulary.stream_names)
        self._inference_read = self._labels_read = self._tests = 0
        self._inference_dead = self._labels_dead = 0
        self._raised_by_cap = 0
        self._implicit = ImplicitSettings(monitor.models)
        self._due = DueQueue(self._width_ms)
        self._implicit_cold = self._implicit_unusable = 0
        self._meanings = Meanings(self._coder, self._implicit)

    # -- events in -----------------------------------------------------------------------------------------

    def apply_inference(self, batch: DecodedBatch) -> None:
        """Take in a decoded batch of inference events; offsets must follow those of the batch before."""
        columns = batch.columns
        self._inference_read += columns.num_rows + len(batch.dead_letters)
        self._inference_dead += len(batch.dead_letters)
        self._dead_letters += batch.dead_letters
        self.next_inference_offset = _next_offset(self.next_inference_offset, batch)
        if not columns.num_rows:
            return
        coded, tests = self._coder.predictions(columns)
        self._tests += tests
        meaning = self._meanings.now()
        first = self._join.next_prediction
        result = self._join.add_predictions(coded, meaning)
        taken = np.flatnonzero(result.outcome == ACCEPTED)
        repeats = np.flatnonzero(result.outcome == DUPLICATE)
        self._panes.add_predictions(coded, taken, repeats, meaning.profiles)
        self.features.add(columns.column("features"), coded, taken, meaning.profiles)
        self._settle(result, meaning, columns)
        reused = np.flatnonzero(result.outcome == REUSED)
        if len(reused):
            letters = reused_ids(self._inference_topic, self.partition, columns, coded.row[reused])
            self._inference_dead += len(letters)
            self._dead_letters += letters
        if self._implicit:
            self._await_implicit(coded, taken, first, meaning)
        used = result.outcome != BELOW_FLOOR
        self._watermarks.note(coded.stream[used], coded.time_ms[used])
        self._hold_the_cap()

    def apply_labels(self, batch: DecodedBatch) -> None:
        """Take in a decoded batch of label events."""
        columns = batch.columns
        self._labels_read += columns.num_rows + len(batch.dead_letters)
        self._labels_dead += len(batch.dead_letters)
        self._dead_letters += batch.dead_letters
        self.next_label_offset = _next_offset(self.next_label_offset, batch)
        if not columns.num_rows:
            return
        coded = self._coder.labels(columns)
        meaning = self._meanings.now()
        self._settle(self._join.add_labels(coded, meaning), meaning, columns)

    def limit_waiting(self, max_bytes: int) -> None:
        """Set what waiting predictions may take here: a worker's memory is shared by its partitions."""
        self._max_waiting_bytes = max_bytes

    def advance(self, inference_ms: int, labels_ms: int) -> None:
        """Let time pass: both topics are read up to these record times.

        With the smaller of them come implicit labels, and behind them the floor.
        """
        aligned_ms = min(inference_ms, labels_ms)
        if self._implicit:
            self._give_implicit(aligned_ms)
        horizon_ms = max(self._settings.hot_horizon_ms, self._implicit.longest_ms)
        self._raise_floor((aligned_ms - horizon_ms) // self._width_ms * self._width_ms)

    # -- results out ---------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Of everything read so far: the epoch, then how many offsets are applied."""
        return (self.epoch << EPOCH_SHIFT) + self.next_inference_offset + self.next_label_offset

    def take_changed(self) -> pa.RecordBatch:
        """Return the rows, of ``PANE_COLUMNS``, that changed since the last call."""
        rows = self._panes.changed_rows()
        if not len(rows) and not self._last_rows:
            return NO_ROWS
        batches = [*self._last_rows, self._batch(rows)]
        self._panes.mark_read(rows)
        self._last_rows = []
        return pa.concat_batches(batches) if len(batches) > 1 else batches[0]

    def take_changed_features(self, closed_ms: int | None = None) -> pa.RecordBatch:
        """Return the rows, of ``FEATURE_COLUMNS``, that changed since they were last returned.

        With ``closed_ms`` only those of panes that end at or before it: an open pane changes all the time.
        """
        last, self._last_features = self._last_features, []
        return pa.concat_batches([*last, self.features.changed_rows(self.revision, closed_ms)])

    def feature_rows(
        self, *, model: str | None = None, start_ms: int | None = None, end_ms: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of ``FEATURE_COLUMNS`` in memory, changed or not, as ``panes_of`` yields panes.

        They are sorted by model, version, segment, pane, signal and feature.
        """
        for keys in self.features.keys_of(model, start_ms, end_ms, FEATURE_ROWS_AT_ONCE):
            yield self.features.rows_of(keys, self.revision)

    def features_left_out(self) -> list[LeftOut]:
        """Return features that are not counted, as their model version has too many."""
        return self.features.left_out()

    def models(self) -> list[str]:
        """Return the models met so far, sorted."""
        return sorted({model for model, _ in self._coder.vocabulary.stream_names})

    def panes_of(
        self, *, model: str | None = None, start_ms: int | None = None, end_ms: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows in memory, changed or not, sorted by their keys, some thousands at a time.

        Parameters
        ----------
        model
            Only this one.
        start_ms, end_ms
            Only panes that start in ``[start_ms, end_ms)``.
        """
        rows = chosen_rows(self._panes, self._coder.vocabulary, model, start_ms, end_ms)
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            yield self._batch(rows[begin : begin + ROWS_AT_ONCE])

    def take_dead_letters(self) -> tuple[DeadLetter, ...]:
        """Return what was set aside since the last call."""
        letters, self._dead_letters = tuple(self._dead_letters), []
        return letters

    @property
    def counters(self) -> StageCounters:
        join = self._join.counters
        return StageCounters(
            inference_read=self._inference_read,
            inference_dead_lettered=self._inference_dead,
            tests=self._tests,
            labels_read=self._labels_read,
            labels_dead_lettered=self._labels_dead + join.dead_labels,
            join=join,
            floors_raised_by_cap=self._raised_by_cap,
            implicit_cold=self._implicit_cold,
            implicit_unusable=self._implicit_unusable,
            scores_not_one=self._coder.scores_not_one,
        )

    @property
    def floor_ms(self) -> int:
        return self._join.floor_ms

    @property
    def waiting_bytes(self) -> int:
        return self._join.prediction_bytes + self._due.nbytes

    @property
    def pane_bytes(self) -> int:
        return self._panes.nbytes + self.features.nbytes + self._examples.nbytes

    @property
    def predictions_in_memory(self) -> int:
        return self._join.waiting_predictions

    @property
    def watermarks(self) -> dict[str, int]:
        """The largest event time seen, by model."""
        return self._watermarks.by_model()

    # -- inside --------------------------------------------------------------------------------------------

    def _batch(self, rows: IntArray) -> pa.RecordBatch:
        return self._rows.batch(rows, self.revision, self._examples.of)

    def _settle(self, result: JoinResult, meaning: Meaning, columns: pa.RecordBatch | None = None) -> None:
        changes = result.changes
        if len(changes):
            self._meanings.name_fractions(changes, meaning)
            self._panes.add_pairs(changes, meaning.profiles, self._join.vectors.ring)
            if columns is not None:
                self._examples.add(changes, columns.column("prediction_id"), meaning.profiles)
        self._dead_letters += labels_no_numbers(
            self._label_topic, self.partition, result.dead_labels, meaning.class_texts
        )

    def _await_implicit(self, coded: CodedPredictions, taken: IntArray, first: int, meaning: Meaning) -> None:
        """Queue predictions that may get an implicit label; ``first`` numbers the first of ``taken``."""
        flags = meaning.profiles.flags[coded.profile[taken]]
        stream = coded.stream[taken]
        after_ms = meaning.implicit.after_ms[stream]
        waits = (after_ms >= 0) & (flags & ANSWERED != 0)
        unusable = waits & (flags & REGRESSION != 0) & np.isnan(meaning.implicit.number[stream])
        self._implicit_unusable += int(unusable.sum())
        waits &= ~unusable
        if waits.any():
            due_ms = coded.time_ms[taken[waits]] + after_ms[waits]
            self._due.add(due_ms, first + np.flatnonzero(waits))

    def _give_implicit(self, until_ms: int) -> None:
        meaning = self._meanings.now()
        places = self._due.take(until_ms, lambda some: self._join.implicit_due_ms(some, meaning))
        if len(places):
            self._settle(self._join.give_implicit(places, meaning), meaning)

    def _hold_the_cap(self) -> None:
        if self.waiting_bytes > self._max_waiting_bytes and self._join.waiting_predictions:
            time_ms = self._join.time_of_share(SHARE_DROPPED_BY_CAP)
            floor_ms = (time_ms // self._width_ms + 1) * self._width_ms
            if floor_ms > self.floor_ms:
                self._raised_by_cap += 1
                self._raise_floor(floor_ms)
                # Before they are due: what is theirs is left to the cold join.
                self._implicit_cold += self._due.keep(self._join.in_memory)

    def _raise_floor(self, floor_ms: int) -> None:
        if floor_ms <= self.floor_ms:
            return
        gone = self._panes.rows_below(floor_ms)
        changed = np.intersect1d(gone, self._panes.changed_rows())
        if len(changed):
            self._last_rows.append(self._batch(changed))
        self._panes.drop(gone)
        self._examples.drop_below(floor_ms)
        features = self.features.changed_rows(self.revision, floor_ms)
        if features.num_rows:
            self._last_features.append(features)
        self.features.drop_below(floor_ms)
        self._join.raise_floor(floor_ms, self._coder.profiles())
        self.floor_steps.append(FloorStep(floor_ms, self.next_inference_offset, self.next_label_offset))


def _next_offset(current: int, batch: DecodedBatch) -> int:
    offsets = [letter.offset for letter in batch.dead_letters]
    if batch.columns.num_rows:
        offsets.append(batch.columns.column("offset")[-1].as_py())
    return max([current, *(offset + 1 for offset in offsets)])
