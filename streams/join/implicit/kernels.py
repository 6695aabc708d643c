"""Giving implicit labels and taking them back."""

import numba as nb
import numpy as np

from schemas.columns import STRING
from streams.join.layout import C_IMPLICIT, IMPLICIT, NO_PAIR, P_COUNT, P_FIRST, P_HEAD


@nb.njit(cache=True, nogil=True)
def slot_of(place, predictions, positions):  # type: ignore[no-untyped-def]
    """Return where a prediction lies by the low half of its sequence number, -1: no longer in memory."""
    ahead = (np.int64(place) - positions[P_FIRST]) & 0xFFFFFFFF
    if ahead >= positions[P_COUNT]:
        return np.int64(-1)
    slot = positions[P_HEAD] + ahead
    return slot - len(predictions) if slot >= len(predictions) else slot


@nb.njit(cache=True, nogil=True)
def emit(changes, n, sign, p, after_ms, class_key, number, event):  # type: ignore[no-untyped-def]
    """Write the change of a pair of a prediction and its implicit label; return the next place."""
    c = changes[n]
    c.sign = sign
    c.time_ms = p.time_ms
    c.profile = p.profile
    c.number = p.number
    c.label_kind = STRING
    c.label_key = class_key
    c.label_number = number
    c.probability = np.nan
    c.value = np.nan
    c.delay_ms = after_ms
    c.age_ms = after_ms
    c.corrected = 0
    c.event = event
    return n + 1


@nb.njit(cache=True, nogil=True)
def give(  # type: ignore[no-untyped-def]
    places, predictions, positions, counters, profile_stream, after_ms, class_key, number, changes
):  # fmt: skip
    """Give predictions that have no label their implicit one; return how many changes that makes."""
    n = 0
    for i in range(len(places)):
        slot = slot_of(places[i], predictions, positions)
        if slot < 0 or predictions[slot].pair != NO_PAIR:
            continue
        p = predictions[slot]
        p.pair = IMPLICIT
        stream = profile_stream[p.profile]
        counters[C_IMPLICIT] += 1
        n = emit(changes, n, 1, p, after_ms[stream], class_key[stream], number[stream], -1)
    return n


@nb.njit(cache=True, nogil=True)
def due(places, predictions, positions, profile_stream, after_ms, out):  # type: ignore[no-untyped-def]
    """Write when implicit labels fall due; of predictions that are gone at once."""
    for i in range(len(places)):
        slot = slot_of(places[i], predictions, positions)
        out[i] = np.iinfo(np.int64).min
        if slot >= 0:
            p = predictions[slot]
            out[i] = p.time_ms + after_ms[profile_stream[p.profile]]
