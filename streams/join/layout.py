"""How what waits lies in memory: one packed row each, so that a probe touches one cache line."""

import numpy as np

# 40 bytes, and 4 to 11 more in the hash table: a million waiting predictions stay below 50 MB.
PREDICTION = np.dtype(
    [
        ("id_low", np.uint64),
        ("id_high", np.uint64),
        ("time_ms", np.int64),
        ("number", np.float64),
        ("profile", np.int32),
        ("pair", np.int32),  # index of its pair, or NO_PAIR or IMPLICIT
    ]
)
LABEL = np.dtype(
    [
        ("id_low", np.uint64),
        ("id_high", np.uint64),
        ("time_ms", np.int64),
        ("record_time_ms", np.int64),
        ("offset", np.int64),
        ("older", np.int64),  # sequence number of the label that came before with this id, -1: none
        ("class_key", np.int64),
        ("number", np.float64),
        ("probability", np.float64),
        ("value", np.float64),
        ("model", np.int32),
        ("source", np.int32),
        ("uses", np.int32),  # predictions in memory that it is in force for
        ("kind", np.uint8),
        ("state", np.uint8),
        ("retired", np.uint8),  # below the floor: kept only while in force, never found again
        ("spare", np.uint8),
    ]
)
PAIR = np.dtype(
    [
        ("label", np.int64),  # sequence number of the label in force
        ("earliest_ms", np.int64),  # of all its labels that say something; also the next free pair
        ("earliest_record_ms", np.int64),  # likewise, by record time
        ("said", np.int64),  # by one of them: a class, or where said_number is 1 the bits of a number
        ("said_number", np.int32),
        ("corrected", np.int32),  # 1 once two of them said different things
    ]
)

NO_PAIR, IMPLICIT = -1, -2  # no label has met the prediction; it has an implicit one
WAITING, JOINED, REPLACED, DEAD = range(4)  # states of a label
ACCEPTED, DUPLICATE, REUSED, BELOW_FLOOR = range(4)  # outcomes of a prediction

# Places in the array of positions.
P_HEAD, P_COUNT, L_HEAD, L_FIRST, L_NEXT, PAIR_FREE, PAIRS, VECTORS_FIRST, P_FIRST = range(9)
POSITIONS = 9
# Places in the array of counters, see Counters.
(
    C_ACCEPTED,
    C_DUPLICATES,
    C_REUSED,
    C_COLD_PREDICTIONS,
    C_LABELS,
    C_WAITING,
    C_JOINED,
    C_REPLACED,
    C_DEAD_LABELS,
    C_COLD_LABELS,
    C_IMPLICIT,
    C_IMPLICIT_REPLACED,
) = range(12)
COUNTERS = 12

NO_LABEL = np.iinfo(np.int64).max  # earliest_ms while every label withdraws
