"""Stage 1 of one partition: decoded batches in, changed panes out, and a checkpoint to go back to.

Pure: no clock, no I/O. The same code runs behind Faust, behind ``aftcast replay`` and in tests.
"""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from schemas.checkpoints import Checkpoint, FloorStep
from schemas.features import FEATURE_COLUMNS
from schemas.panes import PANE_COLUMNS
from schemas.records import DeadLetter, DecodedBatch
from schemas.settings import JoinSettings, MonitorSettings
from streams.features.names.slots import LeftOut
from streams.features.store import FeatureStore
from streams.partition.counters import StageCounters
from streams.partition.low_water import LowWater
from streams.partition.memory import Memory
from streams.partition.reading import chosen_rows
from streams.partition.restoring import Actions, Restoring, last_offset

NO_ROWS = pa.RecordBatch.from_pylist([], PANE_COLUMNS)  # made once: quiet panes come by the thousand
NO_FEATURES = pa.RecordBatch.from_pylist([], FEATURE_COLUMNS)
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
        self.memory = Memory(partition, floor_ms, monitor, topics)
        self._settings = join
        self._max_waiting_bytes = join.max_waiting_bytes
        self._width_ms = monitor.pane_width_ms
        self.next_inference_offset = 0
        self.next_label_offset = 0
        self._low_water = LowWater(floor_ms)
        self._restoring: Restoring | None = None
        self._read_until_ms = (0, 0)
        self._last_rows: list[pa.RecordBatch] = []
        self._last_features: list[pa.RecordBatch] = []
        self._dead_letters: list[DeadLetter] = []
        self._inference_read = self._labels_read = 0
        self._inference_dead = self._labels_dead = 0
        self._raised_by_cap = 0

    # -- events in -----------------------------------------------------------------------------------------

    def start_at(self, inference_offset: int, label_offset: int) -> None:
        """Begin at these offsets, without anything that was before; for a partition without a checkpoint."""
        self.next_inference_offset, self.next_label_offset = inference_offset, label_offset

    def resume_from(self, checkpoint: Checkpoint, lost_until_ms: int = 0) -> None:
        """Go back to a checkpoint: read both inputs again from its low-water offsets, before anything else.

        Until the checkpoint's offsets are reached, nothing is sent and time stands still. Batches of both
        inputs may come in any order; what lies beyond is applied after it.

        Parameters
        ----------
        checkpoint
            Where the partition stood; where a log begins above the low water, its low water is that.
        lost_until_ms
            Panes that start below it cannot be rebuilt whole, as the log does not reach back: they stay as
            they were last sent, and what still comes for them is left to the cold join.
        """
        self._low_water = LowWater(checkpoint.floor_ms)
        self._low_water.steps.extend(checkpoint.steps)
        self.memory.raise_floor(checkpoint.floor_ms, self.revision)
        self.start_at(checkpoint.inference_offset, checkpoint.label_offset)
        actions = Actions(self._predict, self._label, self._raise_floor)
        self._restoring = Restoring(checkpoint, actions, lost_until_ms)
        if self._restoring.go_on():
            self._resume()

    def end_restoring(self) -> None:
        """Take note that both inputs are read again up to the checkpoint, whatever their last offsets."""
        if self._restoring is not None:
            self._restoring.nothing_more()
            if self._restoring.go_on():
                self._resume()

    def apply_inference(self, batch: DecodedBatch) -> None:
        """Take in a decoded batch of inference events; offsets must follow those of the batch before."""
        if self._restoring is None:
            self._predict(batch)
        elif self._restoring.put(0, batch):
            self._resume()

    def apply_labels(self, batch: DecodedBatch) -> None:
        """Take in a decoded batch of label events."""
        if self._restoring is None:
            self._label(batch)
        elif self._restoring.put(1, batch):
            self._resume()

    def limit_waiting(self, max_bytes: int) -> None:
        """Set what waiting predictions may take here: a worker's memory is shared by its partitions."""
        self._max_waiting_bytes = max_bytes

    def advance(self, inference_ms: int, labels_ms: int) -> None:
        """Let time pass: both topics are read up to these record times.

        With the smaller of them come implicit labels, and behind them the floor.
        """
        if self._restoring is not None:
            return
        self._read_until_ms = inference_ms, labels_ms
        aligned_ms = min(inference_ms, labels_ms)
        self.memory.give_implicit(aligned_ms)
        self._set_letters_aside()
        horizon_ms = max(self._settings.hot_horizon_ms, self.memory.implicit.longest_ms)
        self._raise_floor((aligned_ms - horizon_ms) // self._width_ms * self._width_ms)

    # -- results out ---------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Of everything read so far: the epoch, then how many offsets are applied."""
        return (self.epoch << EPOCH_SHIFT) + self.next_inference_offset + self.next_label_offset

    def take_changed(self) -> pa.RecordBatch:
        """Return the rows, of ``PANE_COLUMNS``, that changed since the last call."""
        rows = self.memory.panes.changed_rows()
        if self.restoring or (not len(rows) and not self._last_rows):
            return NO_ROWS
        batches = [*self._last_rows, self.memory.rows(rows, self.revision)]
        self.memory.panes.mark_read(rows)
        self._last_rows = []
        return pa.concat_batches(batches) if len(batches) > 1 else batches[0]

    def take_changed_features(self, closed_ms: int | None = None) -> pa.RecordBatch:
        """Return the rows, of ``FEATURE_COLUMNS``, that changed since they were last returned.

        With ``closed_ms`` only those of panes that end at or before it: an open pane changes all the time.
        """
        if self.restoring:
            return NO_FEATURES
        last, self._last_features = self._last_features, []
        changed = self.features.changed_rows(self.revision, closed_ms)
        return pa.concat_batches([*last, changed]) if last else changed

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
        return sorted({model for model, _ in self.memory.vocabulary.stream_names})

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
        rows = chosen_rows(self.memory.panes, self.memory.vocabulary, model, start_ms, end_ms)
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            yield self.memory.rows(rows[begin : begin + ROWS_AT_ONCE], self.revision)

    def take_dead_letters(self) -> tuple[DeadLetter, ...]:
        """Return what was set aside since the last call."""
        if self.restoring:
            return ()
        letters, self._dead_letters = tuple(self._dead_letters), []
        return letters

    @property
    def features(self) -> FeatureStore:
        """What is counted of features."""
        return self.memory.features

    def checkpoint(self) -> Checkpoint:
        """Return where the partition stands, and from where on its inputs are needed to get there again.

        While it is being restored that is the checkpoint from which it resumes, under its own epoch.
        """
        if self._restoring is not None:
            return replace(self._restoring.checkpoint, epoch=self.epoch)
        inference_low, label_low = self._lows()
        marks = self._low_water
        return Checkpoint(
            partition=self.partition,
            epoch=self.epoch,
            inference_offset=self.next_inference_offset,
            label_offset=self.next_label_offset,
            inference_low=inference_low,
            label_low=label_low,
            floor_ms=marks.floor_ms,
            steps=tuple(marks.steps),
            reused=marks.reused,
            inference_ms=self._read_until_ms[0],
            labels_ms=self._read_until_ms[1],
        )

    @property
    def restoring(self) -> bool:
        """Whether the inputs are still being read again up to a checkpoint."""
        return self._restoring is not None

    @property
    def restored(self) -> tuple[int, int]:
        """Offsets that are applied again, and how many there are in all; (0, 0) once that is over."""
        return (0, 0) if self._restoring is None else self._restoring.progress

    @property
    def counters(self) -> StageCounters:
        join = self.memory.join.counters
        return StageCounters(
            inference_read=self._inference_read,
            inference_dead_lettered=self._inference_dead,
            tests=self.memory.tests,
            labels_read=self._labels_read,
            labels_dead_lettered=self._labels_dead + join.dead_labels,
            join=join,
            floors_raised_by_cap=self._raised_by_cap,
            implicit_cold=self.memory.implicit_cold,
            implicit_unusable=self.memory.implicit_unusable,
            scores_not_one=self.memory.scores_not_one,
        )

    @property
    def floor_ms(self) -> int:
        return self.memory.join.floor_ms

    @property
    def waiting_bytes(self) -> int:
        return self.memory.waiting_bytes

    @property
    def pane_bytes(self) -> int:
        return self.memory.pane_bytes

    @property
    def panes_in_memory(self) -> int:
        return self.memory.panes_in_memory

    @property
    def predictions_in_memory(self) -> int:
        return self.memory.join.waiting_predictions

    @property
    def watermarks(self) -> dict[str, int]:
        """The largest event time seen, by model."""
        return self.memory.watermarks.by_model()

    # -- inside --------------------------------------------------------------------------------------------

    def _predict(self, batch: DecodedBatch) -> None:
        columns, marks, join = batch.columns, self._low_water, self.memory.join
        self._inference_read += columns.num_rows + len(batch.dead_letters)
        self._inference_dead += len(batch.dead_letters)
        self._dead_letters += batch.dead_letters
        self.next_inference_offset = max(self.next_inference_offset, last_offset(batch) + 1)
        if self._restoring is not None:
            kept = self._restoring.without_reused(columns)
            self._inference_dead += columns.num_rows - kept.num_rows
            columns = kept
        if not columns.num_rows:
            return
        first = join.next_prediction
        added = self.memory.add_predictions(columns)
        self._inference_dead += len(added.reused)
        marks.note_predictions(first, join.next_prediction, columns.column("offset")[0].as_py())
        marks.note_early(join.next_prediction, added.early)
        marks.note_reused(added.reused)
        self._set_letters_aside()
        if self._restoring is None:
            self._hold_the_cap()

    def _label(self, batch: DecodedBatch) -> None:
        columns, marks = batch.columns, self._low_water
        self._labels_read += columns.num_rows + len(batch.dead_letters)
        self._labels_dead += len(batch.dead_letters)
        self._dead_letters += batch.dead_letters
        self.next_label_offset = max(self.next_label_offset, last_offset(batch) + 1)
        if not columns.num_rows:
            return
        newest_ms = pc.max(columns.column("record_time_ms")).as_py()
        marks.note_labels(columns.column("offset")[0].as_py(), newest_ms)
        added = self.memory.add_labels(columns)
        marks.note_early(self.memory.join.next_prediction, added.early)
        self._set_letters_aside()

    def _set_letters_aside(self) -> None:
        self._dead_letters += self.memory.dead_letters
        self.memory.dead_letters.clear()

    def _resume(self) -> None:
        """Go on from the checkpoint, which is reached: what was sent before is not sent again."""
        restoring, self._restoring = self._restoring, None
        assert restoring is not None  # noqa: S101 (resume_from set it)
        checkpoint = restoring.checkpoint
        self._low_water.note_reused(checkpoint.reused)
        self._read_until_ms = checkpoint.inference_ms, checkpoint.labels_ms
        # Some are below the floor by now: their panes were told, implicit labels and all.
        self.memory.forget_implicit_below_floor()
        self.memory.implicit_cold = 0
        self.memory.give_implicit(min(self._read_until_ms))
        lost_ms = -(-restoring.lost_until_ms // self._width_ms) * self._width_ms
        self._raise_floor(lost_ms)
        self.memory.forget_implicit_below_floor()
        self._last_rows, self._last_features, self._dead_letters = [], [], []
        predictions, labels = restoring.rest()
        for batch in predictions:
            self._predict(batch)
        for batch in labels:
            self._label(batch)

    def _lows(self) -> tuple[int, int]:
        join, marks = self.memory.join, self._low_water
        inference = marks.inference(join.first_prediction, join.next_prediction, self.next_inference_offset)
        labels = marks.labels(self.floor_ms, join.first_prediction, self.next_label_offset)
        marks.forget(inference, labels)
        return inference, labels

    def _hold_the_cap(self) -> None:
        floor_ms = self.memory.floor_for(self._max_waiting_bytes)
        if floor_ms is not None and floor_ms > self.floor_ms:
            self._raised_by_cap += 1
            self._raise_floor(floor_ms)
            self.memory.forget_implicit_below_floor()

    def _raise_floor(self, floor_ms: int) -> None:
        if floor_ms <= self.floor_ms:
            return
        rows, features = self.memory.raise_floor(floor_ms, self.revision)
        self._last_rows += rows
        self._last_features += features
        if self._restoring is None:
            self._low_water.note_step(FloorStep(floor_ms, self.next_inference_offset, self.next_label_offset))
            self._lows()
