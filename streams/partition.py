"""Stage 1 of one partition: codes, join and panes, one batch in, changed panes out.

Pure: no clock, no I/O. The same code runs behind Faust, behind ``aftcast replay`` and in tests.
"""

import secrets
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.coded import NO_CLASS, FloatArray, PairChanges
from schemas.columns import DOUBLE
from schemas.records import DeadLetter, DecodedBatch, IntArray
from schemas.settings import JoinSettings, MonitorSettings
from streams.codes.classes import number_text, text_number
from streams.codes.coder import Coder
from streams.join.hot import HotJoin, JoinCounters, JoinResult, Meaning, label_text
from streams.join.layout import ACCEPTED, BELOW_FLOOR, DUPLICATE, REUSED
from streams.panes.rows import PaneRows
from streams.panes.store import PaneStore

FLOOR_STEPS_KEPT = 10_000  # a week of minutes; the oldest go
SHARE_DROPPED_BY_CAP = 0.1  # of the waiting predictions, so that the cap does not raise the floor each batch
ROWS_AT_ONCE = 4_096  # of panes read out
EPOCH_SHIFT = 44  # of a revision: the epoch, then the offsets applied in both topics


@dataclass(frozen=True, slots=True)
class FloorStep:
    """One rise of the floor, and the offsets at which it happened: what the cold join goes by."""

    floor_ms: int
    next_inference_offset: int
    next_label_offset: int


@dataclass(frozen=True, slots=True)
class StageCounters:
    """Where every event went, since the start.

    ``inference_read = join.accepted + join.duplicates + tests + inference_dead_lettered`` and
    ``labels_read = join.labels + labels_dead_lettered``, at any moment.
    """

    inference_read: int
    inference_dead_lettered: int
    tests: int
    labels_read: int
    labels_dead_lettered: int
    join: JoinCounters
    floors_raised_by_cap: int


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
        self._coder = Coder(monitor.models, (secrets.randbits(64), secrets.randbits(64)))
        self._join = HotJoin(floor_ms)
        self._panes = PaneStore(self._width_ms)
        vocabulary = self._coder.vocabulary
        self._rows = PaneRows(
            self._panes,
            partition,
            vocabulary.stream_names,
            vocabulary.segments.names.texts,
            vocabulary.class_text,
            vocabulary.statuses.texts,
        )
        self.next_inference_offset = 0
        self.next_label_offset = 0
        self.floor_steps: deque[FloorStep] = deque(maxlen=FLOOR_STEPS_KEPT)
        self._last_rows: list[pa.RecordBatch] = []
        self._dead_letters: list[DeadLetter] = []
        self._watermarks: dict[int, int] = {}
        self._inference_read = self._labels_read = self._tests = 0
        self._inference_dead = self._labels_dead = 0
        self._raised_by_cap = 0
        self._meaning_sizes = (-1, -1, -1)
        self._ranks: tuple[IntArray, IntArray, FloatArray, IntArray]
        self._text_numbers: list[float] = []

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
        meaning = self._meaning()
        result = self._join.add_predictions(coded, meaning)
        taken = np.flatnonzero(result.outcome == ACCEPTED)
        repeats = np.flatnonzero(result.outcome == DUPLICATE)
        self._panes.add_predictions(coded, taken, repeats, meaning.profiles)
        self._settle(result, meaning)
        reused = np.flatnonzero(result.outcome == REUSED)
        if len(reused):
            self._set_reused_aside(columns, coded.row[reused])
        self._note_watermarks(coded.stream, coded.time_ms, result.outcome)
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
        meaning = self._meaning()
        self._settle(self._join.add_labels(coded, meaning), meaning)

    def limit_waiting(self, max_bytes: int) -> None:
        """Set what waiting predictions may take here: a worker's memory is shared by its partitions."""
        self._max_waiting_bytes = max_bytes

    def advance(self, inference_ms: int, labels_ms: int) -> None:
        """Let time pass: both topics are read up to these record times; the floor follows the smaller."""
        aligned_ms = min(inference_ms, labels_ms)
        self._raise_floor((aligned_ms - self._settings.hot_horizon_ms) // self._width_ms * self._width_ms)

    # -- results out ---------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Of everything read so far: the epoch, then how many offsets are applied."""
        return (self.epoch << EPOCH_SHIFT) + self.next_inference_offset + self.next_label_offset

    def take_changed(self) -> pa.RecordBatch:
        """Return the rows, of ``PANE_COLUMNS``, that changed since the last call."""
        rows = self._panes.changed_rows()
        batches = [*self._last_rows, self._rows.batch(rows, self.revision)]
        self._panes.mark_read(rows)
        self._last_rows = []
        return pa.concat_batches(batches) if len(batches) > 1 else batches[0]

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
        rows = self._panes.rows()
        stream, pane, segment = self._panes.keys_of(rows)
        names = self._coder.vocabulary.stream_names
        chosen = np.ones(len(rows), bool)
        if model is not None:
            chosen &= np.array([name == model for name, _ in names], bool)[stream]
        if start_ms is not None:
            chosen &= pane * self._width_ms >= start_ms
        if end_ms is not None:
            chosen &= pane * self._width_ms < end_ms
        rows = rows[chosen]
        stream_rank = np.argsort(sorted(range(len(names)), key=names.__getitem__))
        texts = self._coder.vocabulary.segments.names.texts
        segment_rank = np.argsort(sorted(range(len(texts)), key=texts.__getitem__))
        order = np.lexsort((pane[chosen], segment_rank[segment[chosen]], stream_rank[stream[chosen]]))
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            yield self._rows.batch(rows[order[begin : begin + ROWS_AT_ONCE]], self.revision)

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
        )

    @property
    def floor_ms(self) -> int:
        return self._join.floor_ms

    @property
    def waiting_bytes(self) -> int:
        return self._join.prediction_bytes

    @property
    def pane_bytes(self) -> int:
        return self._panes.nbytes

    @property
    def predictions_in_memory(self) -> int:
        return self._join.waiting_predictions

    @property
    def watermarks(self) -> dict[str, int]:
        """The largest event time seen, by model."""
        names = self._coder.vocabulary.stream_names
        found: dict[str, int] = {}
        for stream, time_ms in self._watermarks.items():
            model = names[stream][0]
            found[model] = max(time_ms, found.get(model, time_ms))
        return found

    # -- inside --------------------------------------------------------------------------------------------

    def _meaning(self) -> Meaning:
        vocabulary = self._coder.vocabulary
        sizes = (len(vocabulary.stream_model), len(vocabulary.classes), len(vocabulary.sources))
        if sizes != self._meaning_sizes:
            self._meaning_sizes = sizes
            texts = vocabulary.classes.texts
            self._text_numbers += map(text_number, texts[len(self._text_numbers) :])
            self._ranks = (
                np.array(vocabulary.stream_model, np.int64),
                vocabulary.classes.ranks(),
                np.array(self._text_numbers),
                vocabulary.sources.ranks(),
            )
        return Meaning(self._coder.profiles(), *self._ranks, vocabulary.classes.texts)

    def _settle(self, result: JoinResult, meaning: Meaning) -> None:
        changes = result.changes
        if len(changes):
            self._name_fractions(changes, meaning)
            self._panes.add_pairs(changes, meaning.profiles, self._join.vectors.ring)
        for label in result.dead_labels:
            self._dead_letters.append(
                DeadLetter(
                    topic=self._label_topic,
                    partition=self.partition,
                    offset=int(label["offset"]),
                    reason="label_not_a_number: the model is a regression",
                    field="label",
                    value=label_text(label, meaning.class_texts)[:200],
                    received_at_ms=int(label["record_time_ms"]),
                )
            )

    def _name_fractions(self, changes: PairChanges, meaning: Meaning) -> None:
        """Look up the class of labels such as 2.5 where a class was predicted: regression needs none."""
        nameless = (changes["label_key"] == NO_CLASS) & (changes["label_kind"] == DOUBLE)
        nameless &= meaning.profiles.class_key[changes["profile"]] != NO_CLASS
        if nameless.any():
            names = self._coder.vocabulary.classes
            numbers, inverse = np.unique(changes["label_number"][nameless], return_inverse=True)
            keys = np.array([names.code(number_text(float(x))) << 1 | 1 for x in numbers], np.int64)
            changes["label_key"][nameless] = keys[inverse]

    def _set_reused_aside(self, columns: pa.RecordBatch, rows: IntArray) -> None:
        chosen = columns.take(pa.array(rows))
        for offset, name, record_time_ms in zip(
            chosen.column("offset").to_pylist(),
            chosen.column("prediction_id").to_pylist(),
            chosen.column("record_time_ms").to_pylist(),
            strict=True,
        ):
            self._inference_dead += 1
            self._dead_letters.append(
                DeadLetter(
                    topic=self._inference_topic,
                    partition=self.partition,
                    offset=offset,
                    reason="id_reused: an earlier prediction with this id has another timestamp",
                    field="prediction_id",
                    value=name[:200],
                    received_at_ms=record_time_ms,
                )
            )

    def _note_watermarks(self, stream, time_ms, outcome) -> None:  # type: ignore[no-untyped-def]
        used = outcome != BELOW_FLOOR
        for code in np.unique(stream[used]):
            newest = int(time_ms[used & (stream == code)].max())
            self._watermarks[int(code)] = max(newest, self._watermarks.get(int(code), newest))

    def _hold_the_cap(self) -> None:
        if self._join.prediction_bytes > self._max_waiting_bytes and self._join.waiting_predictions:
            time_ms = self._join.time_of_share(SHARE_DROPPED_BY_CAP)
            floor_ms = (time_ms // self._width_ms + 1) * self._width_ms
            if floor_ms > self.floor_ms:
                self._raised_by_cap += 1
                self._raise_floor(floor_ms)

    def _raise_floor(self, floor_ms: int) -> None:
        if floor_ms <= self.floor_ms:
            return
        gone = self._panes.rows_below(floor_ms)
        changed = np.intersect1d(gone, self._panes.changed_rows())
        if len(changed):
            self._last_rows.append(self._rows.batch(changed, self.revision))
        self._panes.drop(gone)
        self._join.raise_floor(floor_ms, self._coder.profiles())
        self.floor_steps.append(FloorStep(floor_ms, self.next_inference_offset, self.next_label_offset))


def _next_offset(current: int, batch: DecodedBatch) -> int:
    offsets = [letter.offset for letter in batch.dead_letters]
    if batch.columns.num_rows:
        offsets.append(batch.columns.column("offset")[-1].as_py())
    return max([current, *(offset + 1 for offset in offsets)])
