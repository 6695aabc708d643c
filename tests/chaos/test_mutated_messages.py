"""Broken messages of every encoding go through decoder, join and panes; each comes out once."""

import numpy as np
import pytest
from mutated_messages import NOW_MS, Fuzz, Shelf, valid_messages

from schemas.records import RawBatch
from streams.decode import Decoder


@pytest.mark.parametrize("seed", [1, 2])
def test_no_broken_message_stops_the_worker_and_each_is_accounted_for(seed: int) -> None:
    fuzz = Fuzz(seed)
    done = 0
    while done < 10_000:
        done += fuzz.batch()
    assert fuzz.tally.accepted + sum(fuzz.tally.reasons.values()) == done
    # Mutations that only ever gave broken JSON would prove little.
    assert len(fuzz.tally.reasons) > 15
    assert 0.2 < fuzz.tally.accepted / done < 0.8


@pytest.mark.parametrize("side", ["inference", "labels"])
def test_what_is_broken_was_valid_in_every_encoding(side: str) -> None:
    shelf = Shelf()
    messages = valid_messages(shelf)[side]
    decoder, n = Decoder(shelf), len(messages)
    raw = RawBatch(
        side,
        0,
        np.arange(n),
        np.full(n, NOW_MS),
        [None] * n,
        [one[0] for one in messages],
        [one[1] for one in messages],
    )
    decoded = decoder.decode_inference(raw) if side == "inference" else decoder.decode_labels(raw)
    assert decoded.dead_letters == ()
    assert decoded.columns.num_rows == n >= 16
