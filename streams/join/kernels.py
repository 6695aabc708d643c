"""The join's inner loops: one pass over a batch, constant work per event."""

import numba as nb
import numpy as np

from schemas.coded import ANSWERED, FALSE_KEY, NO_CLASS, REGRESSION, TRUE_KEY
from schemas.columns import DOUBLE, LONG, NULL
from streams.join.implicit.kernels import emit as emit_implicit
from streams.join.layout import (
    ACCEPTED,
    BELOW_FLOOR,
    C_ACCEPTED,
    C_COLD_LABELS,
    C_COLD_PREDICTIONS,
    C_DEAD_LABELS,
    C_DUPLICATES,
    C_IMPLICIT_REPLACED,
    C_JOINED,
    C_LABELS,
    C_REPLACED,
    C_REUSED,
    C_WAITING,
    DEAD,
    DUPLICATE,
    IMPLICIT,
    JOINED,
    L_FIRST,
    L_HEAD,
    L_NEXT,
    NO_LABEL,
    NO_PAIR,
    P_COUNT,
    P_FIRST,
    P_HEAD,
    PAIR_FREE,
    PAIRS,
    REPLACED,
    REUSED,
    VECTORS_FIRST,
    WAITING,
)

AHEAD = 256  # events whose memory is read at once: it stays in the nearest cache until they are worked on
ASK = 2  # two labels with one timestamp whose texts a kernel cannot compare


@nb.njit(cache=True, nogil=True)
def _read_ahead(id_low, begin, predictions, table, label_table, read):  # type: ignore[no-untyped-def]
    """Read what the next ids may meet: here no read waits for another, one by one each would.

    ``read`` takes what was read, shape ``(AHEAD,)``, as the compiler leaves out what nobody gets.
    """
    mask, label_mask = np.uint64(len(table) - 1), np.uint64(len(label_table) - 1)
    count = min(AHEAD, len(id_low) - begin)
    for k in range(count):
        read[k] = max(table[id_low[begin + k] & mask], label_table[id_low[begin + k] & label_mask])
    for k in range(count):
        slot = table[id_low[begin + k] & mask]
        if slot >= 0:
            read[k] = predictions[slot].profile


@nb.njit(cache=True, nogil=True)
def label_slot(seq, positions, labels):  # type: ignore[no-untyped-def]
    slot = positions[L_HEAD] + seq - positions[L_FIRST]
    return slot - len(labels) if slot >= len(labels) else slot


@nb.njit(cache=True, nogil=True)
def _sign(a, b):  # type: ignore[no-untyped-def]
    """Order of two doubles of which NaN is the smallest."""
    if np.isnan(a) or np.isnan(b):
        return int(np.isnan(b)) - int(np.isnan(a))
    return int(a > b) - int(a < b)


@nb.njit(cache=True, nogil=True)
def order(a, b, text_ranks, source_ranks, answers):  # type: ignore[no-untyped-def]
    """Return 1 if label ``a`` is in force over ``b``, -1 if ``b`` over ``a``, 0 if they are equal, or ASK."""
    if a.time_ms != b.time_ms:
        return 1 if a.time_ms > b.time_ms else -1
    if a.kind == NULL or b.kind == NULL:
        if a.kind != b.kind:
            return 1 if b.kind == NULL else -1
    elif (a.kind == LONG or a.kind == DOUBLE) and (b.kind == LONG or b.kind == DOUBLE):
        s = _sign(a.number, b.number)
        if s != 0:
            return s
    elif a.class_key != b.class_key or a.kind == DOUBLE or b.kind == DOUBLE:
        if a.class_key % 2 == 1 and b.class_key % 2 == 1:
            return 1 if text_ranks[a.class_key >> 1] > text_ranks[b.class_key >> 1] else -1
        found = False
        for i in range(len(answers)):
            if answers[i, 0] == a.offset and answers[i, 1] == b.offset:
                found = True
                if answers[i, 2] != 0:
                    return answers[i, 2]
        if not found:
            return ASK
    s = _sign(a.probability, b.probability)
    if s != 0:
        return s
    s = _sign(a.value, b.value)
    if s != 0:
        return s
    if a.source != b.source:
        return 1 if source_ranks[a.source] > source_ranks[b.source] else -1
    return 0


@nb.njit(cache=True, nogil=True)
def _said(label, flags, class_key, text_numbers):  # type: ignore[no-untyped-def]
    """Return what a label says to a prediction, as two integers that are equal where it says the same.

    The number to a regression, else the class in the prediction's terms: true is 1 beside integers, 1 is true
    beside booleans, and the number 2.5 is the text "2.5". The second integer is 1 of a number's bits.
    """
    key = label.class_key
    if flags & REGRESSION or key == NO_CLASS:
        return np.float64(label.number + 0.0).view(np.int64), np.int32(1)  # -0.0 becomes 0.0
    if key & 1:
        number = text_numbers[key >> 1]
        if not np.isnan(number):
            return np.float64(number).view(np.int64), np.int32(1)
        if class_key & 1 == 0 and (key == FALSE_KEY or key == TRUE_KEY):
            return np.int64(0) if key == FALSE_KEY else np.int64(2), np.int32(0)
    elif (class_key == FALSE_KEY or class_key == TRUE_KEY) and (key == 0 or key == 2):
        return np.int64(FALSE_KEY) if key == 0 else np.int64(TRUE_KEY), np.int32(0)
    return key, np.int32(0)


@nb.njit(cache=True, nogil=True)
def _learn(pair, label, flags, class_key, text_numbers):  # type: ignore[no-untyped-def]
    """Add a label that says something to what its pair knows; return whether that shows."""
    said, is_number = _said(label, flags, class_key, text_numbers)
    if pair.earliest_ms == NO_LABEL:
        pair.earliest_ms = label.time_ms
        pair.earliest_record_ms = label.record_time_ms
        pair.said = said
        pair.said_number = is_number
        pair.corrected = 0
        return True
    shows = False
    if label.time_ms < pair.earliest_ms:
        pair.earliest_ms = label.time_ms
        shows = True
    if label.record_time_ms < pair.earliest_record_ms:
        pair.earliest_record_ms = label.record_time_ms
        shows = True
    if pair.corrected == 0 and (said != pair.said or is_number != pair.said_number):
        pair.corrected = 1
        shows = True
    return shows


@nb.njit(cache=True, nogil=True)
def _emit(changes, n, sign, p, label, pair, event):  # type: ignore[no-untyped-def]
    c = changes[n]
    c.sign = sign
    c.time_ms = p.time_ms
    c.profile = p.profile
    c.number = p.number
    c.label_kind = label.kind
    c.label_key = label.class_key
    c.label_number = label.number
    c.probability = label.probability
    c.value = label.value
    c.delay_ms = max(0, pair.earliest_ms - p.time_ms)
    c.age_ms = max(0, pair.earliest_record_ms - p.time_ms)
    c.corrected = pair.corrected
    c.event = event
    return n + 1


@nb.njit(cache=True, nogil=True)
def _set_state(label, state, counters):  # type: ignore[no-untyped-def]
    if label.state == state:
        return
    if label.state == WAITING:
        counters[C_WAITING] -= 1
    elif label.state == JOINED:
        counters[C_JOINED] -= 1
    elif label.state == REPLACED:
        counters[C_REPLACED] -= 1
    else:  # set aside for a regression, and used by a classification with the same id after all
        counters[C_DEAD_LABELS] -= 1
        counters[C_LABELS] += 1
    if state == JOINED:
        counters[C_JOINED] += 1
    elif state == REPLACED:
        counters[C_REPLACED] += 1
    elif state == DEAD:
        counters[C_DEAD_LABELS] += 1
        counters[C_LABELS] -= 1
    label.state = state


@nb.njit(cache=True, nogil=True)
def _no_number(label):  # type: ignore[no-untyped-def]
    return label.kind != NULL and label.kind != LONG and label.kind != DOUBLE


@nb.njit(cache=True, nogil=True)
def _new_pair(pairs, positions):  # type: ignore[no-untyped-def]
    j = positions[PAIR_FREE]
    if j >= 0:
        positions[PAIR_FREE] = pairs[j].earliest_ms
    else:
        j = positions[PAIRS]
        positions[PAIRS] += 1
    return j


@nb.njit(cache=True, nogil=True)
def add_predictions(  # type: ignore[no-untyped-def]
    id_low, id_high, time_ms, profile, number, begin, floor_ms,
    predictions, table, labels, label_table, pairs, positions, counters,
    profile_stream, profile_flags, profile_class, stream_model, text_ranks, text_numbers, source_ranks,
    answers,
    outcome, changes, dead, ask,
):  # fmt: skip
    """Take in predictions ``begin`` and on; room for all of them must be there.

    Returns (next row, changes written, dead labels written). Stops before a row whose labels it cannot
    order, and writes their sequence numbers into ``ask``. Its third number is the lowest offset of a label
    that met a prediction and came before the time of it.
    """
    mask, label_mask = np.uint64(len(table) - 1), np.uint64(len(label_table) - 1)
    n_changes, n_dead = 0, 0
    read = np.empty(AHEAD, np.int32)
    for i in range(begin, len(id_low)):
        if (i - begin) % AHEAD == 0:
            _read_ahead(id_low, i, predictions, table, label_table, read)
        if time_ms[i] < floor_ms:
            outcome[i] = BELOW_FLOOR
            counters[C_ACCEPTED] += 1
            counters[C_COLD_PREDICTIONS] += 1
            continue
        stream = profile_stream[profile[i]]
        place = id_low[i] & mask
        known = -1
        while table[place] >= 0:
            p = predictions[table[place]]
            if (
                p.id_low == id_low[i]
                and p.id_high == id_high[i]
                and p.time_ms >= floor_ms
                and profile_stream[p.profile] == stream
            ):
                known = table[place]
                break
            place = (place + np.uint64(1)) & mask
        if known >= 0:
            if predictions[known].time_ms == time_ms[i]:
                outcome[i] = DUPLICATE
                counters[C_DUPLICATES] += 1
            else:
                outcome[i] = REUSED
                counters[C_REUSED] += 1
            continue
        # Which of the labels that came before is in force? Decided before anything is written.
        flags = profile_flags[profile[i]]
        model = stream_model[stream]
        label_place = id_low[i] & label_mask
        seq = np.int64(-1)
        while label_table[label_place] >= 0:
            slot = label_table[label_place]
            if labels[slot].id_low == id_low[i] and labels[slot].id_high == id_high[i]:
                seq = positions[L_FIRST] + (slot - positions[L_HEAD]) % len(labels)
                break
            label_place = (label_place + np.uint64(1)) & label_mask
        newest, winner = seq, np.int64(-1)
        while seq >= positions[L_FIRST]:
            label = labels[label_slot(seq, positions, labels)]
            usable = (
                label.record_time_ms >= floor_ms
                and (label.model < 0 or label.model == model)
                and not (flags & REGRESSION and _no_number(label))
            )
            if usable:
                if winner < 0:
                    winner = seq
                else:
                    rival = labels[label_slot(winner, positions, labels)]
                    o = order(label, rival, text_ranks, source_ranks, answers)
                    if o == ASK:
                        ask[0], ask[1] = seq, winner
                        return i, n_changes, n_dead
                    if o >= 0:  # of equals the one that came first, so that a repeat is the one replaced
                        winner = seq
            seq = label.older
        tail = positions[P_HEAD] + positions[P_COUNT]
        tail = tail - len(predictions) if tail >= len(predictions) else tail
        positions[P_COUNT] += 1
        p = predictions[tail]
        p.id_low = id_low[i]
        p.id_high = id_high[i]
        p.time_ms = time_ms[i]
        p.number = number[i]
        p.profile = profile[i]
        p.pair = NO_PAIR
        table[place] = tail
        outcome[i] = ACCEPTED
        counters[C_ACCEPTED] += 1
        if winner >= 0:
            p.pair = _new_pair(pairs, positions)
            pairs[p.pair].label = winner
            pairs[p.pair].earliest_ms = NO_LABEL
        seq = newest
        while seq >= positions[L_FIRST]:
            label = labels[label_slot(seq, positions, labels)]
            if label.record_time_ms >= floor_ms and (label.model < 0 or label.model == model):
                if flags & REGRESSION and _no_number(label):
                    if label.uses == 0 and label.state != DEAD:
                        _set_state(label, DEAD, counters)
                        dead[n_dead] = label
                        n_dead += 1
                else:
                    if label.kind != NULL:
                        _learn(pairs[p.pair], label, flags, profile_class[profile[i]], text_numbers)
                    if label.record_time_ms < time_ms[i] and (ask[2] < 0 or label.offset < ask[2]):
                        ask[2] = label.offset
                    if seq != winner and label.state != JOINED:
                        _set_state(label, REPLACED, counters)
            seq = label.older
        if winner >= 0:
            label = labels[label_slot(winner, positions, labels)]
            label.uses += 1
            _set_state(label, JOINED, counters)
            if flags & ANSWERED and label.kind != NULL:
                n_changes = _emit(changes, n_changes, 1, p, label, pairs[p.pair], i)
    return len(id_low), n_changes, n_dead


@nb.njit(cache=True, nogil=True)
def pack_labels(  # type: ignore[no-untyped-def]
    id_low, id_high, time_ms, record_time_ms, offset, class_key, number, probability, value, model, source,
    kind, rows,
):  # fmt: skip
    """Write columns into rows of dtype LABEL, all of a row while it is at hand."""
    for i in range(len(rows)):
        row = rows[i]
        row.id_low = id_low[i]
        row.id_high = id_high[i]
        row.time_ms = time_ms[i]
        row.record_time_ms = record_time_ms[i]
        row.offset = offset[i]
        row.older = -1
        row.class_key = class_key[i]
        row.number = number[i]
        row.probability = probability[i]
        row.value = value[i]
        row.model = model[i]
        row.source = source[i]
        row.uses = 0
        row.kind = kind[i]
        row.state = WAITING
        row.retired = 0
        row.spare = 0


@nb.njit(cache=True, nogil=True)
def add_labels(  # type: ignore[no-untyped-def]
    batch, begin, floor_ms,
    predictions, table, labels, label_table, pairs, positions, counters,
    profile_stream, profile_flags, profile_class, stream_model, text_ranks, text_numbers, source_ranks,
    answers, implicit_after_ms, implicit_key, implicit_number,
    changes, dead, ask,
):  # fmt: skip
    """Take in labels ``begin`` and on; room for them in ``labels`` must be there.

    Returns (next row, changes written, dead labels written). Stops before a row for whose matches
    ``changes`` or ``pairs`` has no room, or whose order it cannot tell (``ask[0]`` is then not -1).
    ``ask[2]`` is as in ``add_predictions``.
    """
    mask, label_mask = np.uint64(len(table) - 1), np.uint64(len(label_table) - 1)
    n_changes, n_dead = 0, 0
    read = np.empty(AHEAD, np.int32)
    for i in range(begin, len(batch)):
        if (i - begin) % AHEAD == 0:
            _read_ahead(batch.id_low, i, predictions, table, label_table, read)
        new = batch[i]
        if new.record_time_ms < floor_ms:
            # Left to the cold join, whether its prediction comes before or after it: so order never shows.
            counters[C_LABELS] += 1
            counters[C_COLD_LABELS] += 1
            continue
        matches, blocked = 0, False
        place = new.id_low & mask
        while table[place] >= 0:
            p = predictions[table[place]]
            if p.id_low == new.id_low and p.id_high == new.id_high and p.time_ms >= floor_ms:
                matches += 1
                if p.pair >= 0:
                    seq = pairs[p.pair].label
                    rival = labels[label_slot(seq, positions, labels)]
                    if order(new, rival, text_ranks, source_ranks, answers) == ASK:
                        ask[0] = seq
                        blocked = True
                        break
            place = (place + np.uint64(1)) & mask
        if blocked or n_changes + 2 * matches > len(changes) or positions[PAIRS] + matches > len(pairs):
            return i, n_changes, n_dead
        seq = positions[L_NEXT]
        positions[L_NEXT] += 1
        slot = label_slot(seq, positions, labels)
        labels[slot] = new
        label = labels[slot]
        counters[C_LABELS] += 1
        counters[C_WAITING] += 1
        label_place = new.id_low & label_mask
        while label_table[label_place] >= 0:
            newest = label_table[label_place]
            if labels[newest].id_low == new.id_low and labels[newest].id_high == new.id_high:
                label.older = positions[L_FIRST] + (newest - positions[L_HEAD]) % len(labels)
                break
            label_place = (label_place + np.uint64(1)) & label_mask
        label_table[label_place] = slot
        unusable = False
        place = new.id_low & mask
        while matches > 0 and table[place] >= 0:
            p = predictions[table[place]]
            place = (place + np.uint64(1)) & mask
            if p.id_low != new.id_low or p.id_high != new.id_high or p.time_ms < floor_ms:
                continue
            matches -= 1
            if new.model >= 0 and stream_model[profile_stream[p.profile]] != new.model:
                continue
            flags = profile_flags[p.profile]
            if flags & REGRESSION and _no_number(new):
                unusable = True
                continue
            if new.record_time_ms < p.time_ms and (ask[2] < 0 or new.offset < ask[2]):
                ask[2] = new.offset
            if p.pair < 0:
                if p.pair == IMPLICIT:
                    counters[C_IMPLICIT_REPLACED] += 1
                    s = profile_stream[p.profile]
                    n_changes = emit_implicit(
                        changes,
                        n_changes,
                        -1,
                        p,
                        implicit_after_ms[s],
                        implicit_key[s],
                        implicit_number[s],
                        i,
                    )
                j = _new_pair(pairs, positions)
                p.pair = j
                pairs[j].label = seq
                pairs[j].earliest_ms = NO_LABEL
                label.uses += 1
                _set_state(label, JOINED, counters)
                if new.kind != NULL:
                    _learn(pairs[j], new, flags, profile_class[p.profile], text_numbers)
                    if flags & ANSWERED:
                        n_changes = _emit(changes, n_changes, 1, p, label, pairs[j], i)
                continue
            pair = pairs[p.pair]
            old = labels[label_slot(pair.label, positions, labels)]
            wins = order(new, old, text_ranks, source_ranks, answers) == 1
            shown = n_changes
            if flags & ANSWERED and old.kind != NULL:
                shown = _emit(changes, n_changes, -1, p, old, pair, i)
            learnt = new.kind != NULL and _learn(pair, new, flags, profile_class[p.profile], text_numbers)
            if flags & ANSWERED and (wins or learnt):
                n_changes = shown
                now = label if wins else old
                if now.kind != NULL:
                    n_changes = _emit(changes, n_changes, 1, p, now, pair, i)
            if wins:
                old.uses -= 1
                if old.uses == 0:
                    _set_state(old, REPLACED, counters)
                pair.label = seq
                label.uses += 1
                _set_state(label, JOINED, counters)
            elif label.uses == 0:
                _set_state(label, REPLACED, counters)
        if unusable and label.uses == 0:
            _set_state(label, DEAD, counters)
            dead[n_dead] = label
            n_dead += 1
    return len(batch), n_changes, n_dead


@nb.njit(cache=True, nogil=True)
def _remove(table, rows, slot):  # type: ignore[no-untyped-def]
    """Take ``slot`` out of an open-addressing table, closing the gap behind it."""
    mask = np.uint64(len(table) - 1)
    place = rows[slot].id_low & mask
    while table[place] != slot:
        if table[place] < 0:
            return
        place = (place + np.uint64(1)) & mask
    hole = place
    while True:
        place = (place + np.uint64(1)) & mask
        if table[place] < 0:
            break
        home = rows[table[place]].id_low & mask
        # May the entry move into the hole? Only if its home does not lie between the two.
        if ((place - home) & mask) >= ((place - hole) & mask):
            table[hole] = table[place]
            hole = place
    table[hole] = -1


@nb.njit(cache=True, nogil=True)
def drop_below(  # type: ignore[no-untyped-def]
    floor_ms, predictions, table, labels, label_table, pairs, positions, counters, scoring, scoring_offsets
):  # fmt: skip
    """Forget predictions below the floor, and labels whose record time is, unless they are in force."""
    while positions[P_COUNT] > 0 and predictions[positions[P_HEAD]].time_ms < floor_ms:
        slot = positions[P_HEAD]
        _remove(table, predictions, slot)
        scores = scoring[predictions[slot].profile]
        if scores >= 0 and scoring_offsets[scores + 1] - scoring_offsets[scores] > 1:
            size = scoring_offsets[scores + 1] - scoring_offsets[scores]
            positions[VECTORS_FIRST] = np.int64(predictions[slot].number) + size
        j = predictions[slot].pair
        if j >= 0:
            labels[label_slot(pairs[j].label, positions, labels)].uses -= 1
            pairs[j].earliest_ms = positions[PAIR_FREE]
            positions[PAIR_FREE] = j
        positions[P_HEAD] = 0 if slot + 1 == len(predictions) else slot + 1
        positions[P_COUNT] -= 1
        positions[P_FIRST] += 1
    mask = np.uint64(len(table) - 1)
    left = positions[L_NEXT] - positions[L_FIRST]
    while left > 0 and labels[positions[L_HEAD]].record_time_ms < floor_ms:
        left -= 1
        slot = positions[L_HEAD]
        label = labels[slot]
        if not label.retired:
            # Only the newest of an id stands in the table: if it is this one, no other is left.
            _remove(label_table, labels, slot)
        if label.state == WAITING:
            counters[C_COLD_LABELS] += 1
            counters[C_WAITING] -= 1
            label.state = REPLACED
        seq = positions[L_FIRST]
        moved_to = np.int64(-1)
        if label.uses > 0:
            # In force for a prediction in memory: its figures are needed to take the pair back. It goes to
            # the end of the ring; the place it leaves is the place that this needs.
            moved_to = positions[L_NEXT]
        positions[L_HEAD] = 0 if slot + 1 == len(labels) else slot + 1
        positions[L_FIRST] += 1
        if moved_to >= 0:
            positions[L_NEXT] += 1
            to = label_slot(moved_to, positions, labels)
            labels[to] = labels[slot]
            labels[to].retired = 1
            place = labels[to].id_low & mask
            while table[place] >= 0:
                p = predictions[table[place]]
                if p.pair >= 0 and pairs[p.pair].label == seq:
                    pairs[p.pair].label = moved_to
                place = (place + np.uint64(1)) & mask


@nb.njit(cache=True, nogil=True)
def rebuild(table, rows, head, count):  # type: ignore[no-untyped-def]
    """Fill a table anew with the rows of a ring, each of them found by its id."""
    mask = np.uint64(len(table) - 1)
    table[:] = -1
    for k in range(count):
        slot = head + k
        slot = slot - len(rows) if slot >= len(rows) else slot
        place = rows[slot].id_low & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = slot


@nb.njit(cache=True, nogil=True)
def rebuild_labels(table, rows, head, count):  # type: ignore[no-untyped-def]
    """Fill a table anew with the labels of a ring: of an id the newest, which leads to the older ones."""
    mask = np.uint64(len(table) - 1)
    table[:] = -1
    for k in range(count):
        slot = head + k
        slot = slot - len(rows) if slot >= len(rows) else slot
        if rows[slot].retired:
            continue
        place = rows[slot].id_low & mask
        while table[place] >= 0:
            other = rows[table[place]]
            if other.id_low == rows[slot].id_low and other.id_high == rows[slot].id_high:
                break
            place = (place + np.uint64(1)) & mask
        table[place] = slot
