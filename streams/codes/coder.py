"""One decoded batch into codes: who it is about, what was said, in arrays that kernels can walk."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.coded import (
    ANSWERED,
    KIND_SHIFT,
    NO_CLASS,
    REGRESSION,
    SCORED,
    ByteArray,
    CodeArray,
    CodedLabels,
    CodedPredictions,
    Profiles,
)
from schemas.columns import DOUBLE, LONG, NULL
from schemas.records import IntArray
from schemas.settings import ModelSettings
from streams.codes.classes import class_keys, filled, kinds_of, numbers_of
from streams.codes.profiles import ProfileTable
from streams.codes.repeats import distinct_codes, distinct_texts
from streams.codes.scores import ScoreTable
from streams.codes.segments import CROWDED
from streams.codes.siphash import hash_strings
from streams.codes.vocabulary import Vocabulary

# A stream whose whole numbers take more values than this is no classification; its numbers stay numbers.
MOST_CLASSES_OF_LONGS = 1_000
TEST_ROLE = "test"
BoolArray = npt.NDArray[np.bool_]


class Coder:
    """Turns decoded batches of one partition into codes; remembers every name it has met.

    Parameters
    ----------
    models
        ``[models.NAME]``: a task that is set there decides what a prediction's value is.
    key
        The secret key of the id hashes.
    width_ms
        Of a pane: which segment values have a name changes only between panes.
    """

    def __init__(
        self, models: Mapping[str, ModelSettings], key: tuple[int, int], width_ms: int = 60_000
    ) -> None:
        self.vocabulary = Vocabulary(width_ms)
        self._models = models
        self._key = key
        self._profiles = ProfileTable()
        self._scores = ScoreTable(models, self.vocabulary.classes)
        self._long_values: dict[int, set[int] | None] = {}

    def profiles(self) -> Profiles:
        return self._profiles.view(self._scores.view())

    @property
    def scores_not_one(self) -> int:
        """Predictions so far whose several scores did not sum to one, repeats included."""
        return self._scores.not_one

    def predictions(self, columns: pa.RecordBatch) -> tuple[CodedPredictions, int]:
        """Return the predictions of a decoded batch, and how many of role ``test`` were left out."""
        role = columns.column("role")
        tests = pc.equal(role, TEST_ROLE)
        row = np.flatnonzero(~np.asarray(tests))
        left_out = columns.num_rows - len(row)
        if left_out:
            columns = columns.take(pa.array(row))
        stream = self._streams(columns)
        value = columns.column("prediction")
        kinds = kinds_of(value)
        status = self._statuses(columns.column("status"))
        scored = np.asarray(columns.column("scores").is_valid())
        forced = self._forced_tasks(stream)
        fractions = bool(scored.any() or (forced == 1).any())
        class_key = class_keys(value, kinds, self.vocabulary.classes, fractions=fractions)
        number = numbers_of(value, kinds)
        # A double is a number unless it came with scores or its model is said to classify.
        as_class = scored | (forced == 1)
        as_number = forced == 2
        class_key[((kinds == DOUBLE) & ~as_class) | as_number] = NO_CLASS
        class_key[self._too_many_longs(stream, kinds, class_key, as_class)] = NO_CLASS
        answered = (status < 0) & (kinds != NULL)
        lower = filled(columns.column("prediction_lower"))
        bounded_rows = np.flatnonzero(answered & ~as_class & ~np.isnan(lower))
        upper = filled(columns.column("prediction_upper"))[bounded_rows]
        scores = self._scores.code(
            columns.column("scores"),
            scored & ~as_number & answered,
            stream,
            self.vocabulary.stream_names,
            bounded_rows,
            np.column_stack([number[bounded_rows], lower[bounded_rows], upper]),
        )
        np.copyto(number, scores.number, where=as_class)
        number[bounded_rows] = scores.number[bounded_rows]
        flags = (
            answered * ANSWERED
            + scored * SCORED
            + (answered & (as_number | ((kinds == DOUBLE) & ~as_class))) * REGRESSION
        ).astype(np.uint8) | (kinds << np.uint8(KIND_SHIFT))
        time_ms = np.asarray(columns.column("timestamp").view(pa.int64()))
        offsets, segments = self._segments(columns.column("segments"), stream, time_ms)
        profile = self._profiles.codes(stream, class_key, flags, scores.scoring, offsets, segments)
        low, high = hash_strings(columns.column("prediction_id"), self._key)
        coded = CodedPredictions(
            row=row,
            offset=np.asarray(columns.column("offset")),
            id_low=low,
            id_high=high,
            time_ms=time_ms,
            profile=profile,
            stream=stream,
            number=number,
            latency_ms=filled(columns.column("latency_ms")),
            cost=filled(columns.column("cost")),
            status=status,
            vectors=scores.vectors,
            vector_rows=scores.vector_rows,
        )
        return coded, left_out

    def labels(self, columns: pa.RecordBatch) -> CodedLabels:
        """Return the labels of a decoded batch."""
        value = columns.column("label")
        kinds = kinds_of(value)
        low, high = hash_strings(columns.column("prediction_id"), self._key)
        vocabulary = self.vocabulary
        return CodedLabels(
            offset=np.asarray(columns.column("offset")),
            id_low=low,
            id_high=high,
            time_ms=np.asarray(columns.column("timestamp").view(pa.int64())),
            record_time_ms=np.asarray(columns.column("record_time_ms")),
            model=_codes(columns.column("model"), lambda name: vocabulary.models.code(name) if name else -1),
            kind=kinds,
            class_key=class_keys(value, kinds, vocabulary.classes, fractions=False),
            number=numbers_of(value, kinds),
            probability=filled(columns.column("sampling_probability")),
            value=filled(columns.column("value")),
            source=_codes(columns.column("source"), vocabulary.sources.code),
        )

    def _streams(self, columns: pa.RecordBatch) -> CodeArray:
        model, models = distinct_texts(columns.column("model"))
        version, versions = distinct_texts(columns.column("model_version"))
        pair = model.astype(np.int64) * len(versions) + version
        occurring, _, which = distinct_codes(pair, len(models) * len(versions))
        pairs = [divmod(p, len(versions)) for p in occurring.tolist()]
        codes = [self.vocabulary.stream(models[m], versions[v]) for m, v in pairs]
        return np.array(codes, np.int32)[which]

    def _statuses(self, column: pa.StringArray) -> CodeArray:
        return _codes(column, lambda status: -1 if status == "ok" else self.vocabulary.statuses.code(status))

    def _forced_tasks(self, stream: CodeArray) -> np.ndarray:
        """Return 1 where the model is said to classify, 2 where it is said to be a regression, else 0."""
        if not self._models:
            return np.zeros(len(stream), np.int8)
        by_stream = np.zeros(len(self.vocabulary.stream_names), np.int8)
        for code, (model, _) in enumerate(self.vocabulary.stream_names):
            task = self._models[model].task if model in self._models else None
            by_stream[code] = 0 if task is None else 2 if task == "regression" else 1
        return by_stream[stream]

    def _too_many_longs(
        self, stream: CodeArray, kinds: ByteArray, class_key: IntArray, as_class: BoolArray
    ) -> BoolArray:
        longs = (kinds == LONG) & ~as_class & (class_key != NO_CLASS)
        out = np.zeros(len(stream), bool)
        if not longs.any():
            return out
        for code in np.unique(stream[longs]):
            rows = longs & (stream == code)
            met = self._long_values.setdefault(int(code), set())
            if met is not None:
                met.update(np.unique(class_key[rows]).tolist())
                if len(met) > MOST_CLASSES_OF_LONGS:
                    met = self._long_values[int(code)] = None
            if met is None:
                out |= rows
        return out

    def _segments(
        self, column: pa.MapArray, stream: CodeArray, time_ms: IntArray
    ) -> tuple[IntArray, CodeArray]:
        offsets = np.asarray(column.offsets).astype(np.int64)
        begin, end = int(offsets[0]), int(offsets[-1])
        offsets = offsets - begin
        if begin == end:
            return offsets, np.zeros(0, np.int32)
        key_of, key_names = distinct_texts(column.keys.slice(begin, end - begin))
        value_of, value_names = distinct_texts(column.items.slice(begin, end - begin))
        of_model = np.array(self.vocabulary.stream_model, np.int64)[stream]
        model = np.repeat(of_model, np.diff(offsets))
        key_count, value_count = len(key_names), len(value_names)
        triple = (model * key_count + key_of) * value_count + value_of
        below = len(self.vocabulary.models) * key_count * value_count
        distinct, first, inverse = distinct_codes(triple, below)
        codes = np.empty(len(distinct), np.int32)
        crowded: dict[tuple[int, int], int] = {}  # (model, key) -> the first place that is
        for i in np.argsort(first):  # in the order met, so that which values are kept never depends on codes
            rest, value = divmod(int(distinct[i]), value_count)
            owner, key = divmod(rest, key_count)
            codes[i] = self.vocabulary.segments.code(owner, key_names[key], value_names[value])
            if codes[i] == CROWDED:
                crowded.setdefault((owner, key), int(first[i]))
        out = codes[inverse]
        for (owner, key), begin_at in crowded.items():
            rows = np.repeat(np.arange(len(stream)), np.diff(offsets))
            places = np.flatnonzero(triple // value_count == owner * key_count + key)
            places = places[places >= begin_at]
            of_value, times = value_of[places].astype(np.int64), time_ms[rows[places]]
            name = key_names[key]
            out[places] = self.vocabulary.segments.crowded(owner, name, value_names, of_value, times)
        return offsets, out


def _codes(column: pa.StringArray, code_of: Callable[[str], int]) -> CodeArray:
    which, texts = distinct_texts(column)
    return np.array([code_of(text) for text in texts], np.int32)[which]
