"""Decoded columns as codes: what the join and the panes work on, arrays of equal length and nothing else."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.records import IntArray

FloatArray = npt.NDArray[np.float64]
HashArray = npt.NDArray[np.uint64]
CodeArray = npt.NDArray[np.int32]
ByteArray = npt.NDArray[np.uint8]

# A class is one 64-bit key: an integer n is 2 n, the text number i is 2 i + 1. So "1", 1 and 1.0 are the
# same class without a lookup. The first two texts are the booleans.
NO_CLASS = np.iinfo(np.int64).min
FALSE_KEY, TRUE_KEY = 1, 3

# Bits of a profile's flags.
ANSWERED, SCORED, REGRESSION = 1, 2, 4
KIND_SHIFT = 4  # the type code of the prediction's value (schemas.columns) stands above these bits


@dataclass(frozen=True, slots=True)
class CodedPredictions:
    """Predictions that may be joined, shape ``(n,)`` each, in offset order.

    ``number`` is NaN where the prediction is no number, ``latency_ms`` and ``cost`` where there is none,
    ``status`` is -1 for ok. ``row`` is the index in the decoded batch.

    Of a prediction with scores (``Profiles.scoring``), ``number`` is the probability of the positive class;
    with three classes or more it is where the probabilities begin in ``vectors``: rows ``vector_rows``. So it
    is of a number that came with bounds: there its scoring has three classes NO_CLASS, and ``vectors`` holds
    the number, the lower and the upper bound.
    """

    row: IntArray
    offset: IntArray
    id_low: HashArray
    id_high: HashArray
    time_ms: IntArray
    profile: CodeArray
    stream: CodeArray
    number: FloatArray
    latency_ms: FloatArray
    cost: FloatArray
    status: CodeArray
    vectors: FloatArray
    vector_rows: IntArray

    def __len__(self) -> int:
        return len(self.row)

    def predicted_numbers(self, profiles: "Profiles") -> FloatArray:
        """Return the predicted number of each row, with bounds or without, NaN where it is none."""
        scorings = profiles.scorings
        # One class more, so that there is one to look at where no scoring was met yet.
        first_class = np.append(scorings.class_keys, 0)[scorings.offsets[:-1]]
        scoring = profiles.scoring[self.profile]
        bounded = np.append(first_class == NO_CLASS, False)[scoring]  # scoring -1: the False at the end
        numbers = np.where(scoring < 0, self.number, np.nan)
        numbers[bounded] = self.vectors[self.number[bounded].astype(np.int64)]
        return numbers


@dataclass(frozen=True, slots=True)
class CodedLabels:
    """Labels, shape ``(n,)`` each, in offset order; ``model`` is -1 where none is named.

    ``number`` is NaN where the label is no number; ``class_key`` is ``NO_CLASS`` for a withdrawal and for a
    number with a fraction, whose text is looked up only if a class is joined with it. ``probability`` (of
    being picked for review) and ``value`` are NaN where there is none.
    """

    offset: IntArray
    id_low: HashArray
    id_high: HashArray
    time_ms: IntArray
    record_time_ms: IntArray
    model: CodeArray
    kind: ByteArray
    class_key: IntArray
    number: FloatArray
    probability: FloatArray
    value: FloatArray
    source: CodeArray

    def __len__(self) -> int:
        return len(self.offset)


# Labelled predictions that enter (sign 1) or leave (-1) their panes. A corrected label is two rows: the old
# pair leaves, the new one enters. ``delay_ms`` is the earliest label's timestamp less the prediction's,
# ``age_ms`` the earliest label's record time less it; ``event`` is the row of the batch that made the change.
PAIR_CHANGE = np.dtype(
    [
        ("time_ms", np.int64),
        ("number", np.float64),
        ("label_key", np.int64),
        ("label_number", np.float64),
        ("probability", np.float64),
        ("value", np.float64),
        ("delay_ms", np.int64),
        ("age_ms", np.int64),
        ("corrected", np.int32),  # 1 where more than one label is known and not all are equal
        ("event", np.int32),
        ("profile", np.int32),
        ("sign", np.int32),
        ("label_kind", np.int64),
    ]
)
PairChanges = npt.NDArray[np.void]  # of dtype PAIR_CHANGE, shape (n,)


@dataclass(frozen=True, slots=True)
class Scorings:
    """Which classes scores speak of, by scoring code.

    ``class_keys[offsets[s] : offsets[s + 1]]`` are the classes of scoring ``s``: of a binary one only the
    positive class, of any other all of them, sorted by name.
    """

    offsets: IntArray
    class_keys: IntArray


@dataclass(frozen=True, slots=True)
class Profiles:
    """What many predictions have in common, by profile code: their stream, class, flags and segments.

    ``segments[segment_offsets[p] : segment_offsets[p + 1]]`` are the segment codes of profile ``p``;
    ``scoring`` is the code of a scoring, -1 where there are no scores that could be compared with a label.
    """

    stream: CodeArray
    class_key: IntArray
    flags: ByteArray
    segment_offsets: IntArray
    segments: CodeArray
    scoring: CodeArray
    scorings: Scorings
