"""What becomes of a prediction's label: late, never, corrected, early, repeated or withdrawn."""

from dataclasses import dataclass

import numpy as np

from aftcast.simulation.columns import BoolArray, Draws
from aftcast.simulation.models import Answers, FloatArray
from schemas.records import IntArray

LONGEST_DELAY_MS = 25 * 60_000  # so that a maturity horizon of half an hour sees every label
_LATE, NEVER, CORRECTED, EARLY, REPEATED, WITHDRAWN = range(6)
_SHARES = [0.895, 0.06, 0.02, 0.01, 0.01, 0.005]


@dataclass(frozen=True)
class Labels:
    """Label events of one block: the row of the prediction that each is about, and what it says."""

    rows: IntArray
    timestamps_ms: IntArray
    record_times_ms: IntArray
    labels: Draws
    null: BoolArray
    values: FloatArray


@dataclass(frozen=True)
class Outcome:
    """What a prediction's labels come to in the end; ``known_ms`` is when the last of them arrives."""

    labelled: BoolArray
    known_ms: IntArray


def _first_delays_ms(draw: np.random.Generator, answers: Answers) -> IntArray:
    medians_ms = answers.median_label_delay_s * 1000.0
    delays = medians_ms * draw.lognormal(0.0, 0.45, len(medians_ms))
    return np.minimum(delays, LONGEST_DELAY_MS * 0.6).astype(np.int64)


def label_events(
    draw: np.random.Generator, answers: Answers, timestamps_ms: IntArray, block_start_ms: int
) -> tuple[Labels, Outcome]:
    """Return the label events of a block of predictions, and what they come to.

    A label that comes early does not come before the block: blocks are sent one after the other.
    """
    n = len(timestamps_ms)
    fates = draw.choice(6, n, p=_SHARES)
    fates[answers.statuses != "ok"] = NEVER
    delays = _first_delays_ms(draw, answers)
    early_ms = draw.integers(500, 5000, n)
    first_ms = np.where(fates == EARLY, timestamps_ms - early_ms, timestamps_ms + delays)
    later_ms = first_ms + draw.integers(60_000, int(LONGEST_DELAY_MS * 0.35), n)
    transit_ms = draw.integers(5, 500, n)
    wrong_label = answers.truths[draw.permutation(n)]

    first = np.flatnonzero(fates != NEVER)
    second = np.flatnonzero(np.isin(fates, (CORRECTED, REPEATED, WITHDRAWN)))
    corrected = fates[first] == CORRECTED
    rows = np.concatenate([first, second])
    first_said = np.where(corrected, wrong_label[first], answers.truths[first])
    # A repeat says the same again: same label, same time stamp, another record.
    second_stamp = np.where(fates[second] == REPEATED, first_ms[second], later_ms[second])
    labels = Labels(
        rows=rows,
        timestamps_ms=np.concatenate([first_ms[first], second_stamp]),
        record_times_ms=np.maximum(
            np.concatenate([first_ms[first], later_ms[second]]) + transit_ms[rows], block_start_ms
        ),
        labels=np.concatenate([first_said, answers.truths[second]]),
        null=np.concatenate([np.zeros(len(first), np.bool_), fates[second] == WITHDRAWN]),
        values=answers.values[rows],
    )
    known_ms = np.zeros(n, np.int64)
    np.maximum.at(known_ms, rows, labels.record_times_ms)
    return labels, Outcome((fates != NEVER) & (fates != WITHDRAWN), known_ms)
