"""Crashes at every step of apply, send and commit, zombies and second crashes: counts equal those by hand."""

import random

import pytest
from fault_sequences import ACTIONS, World, sequence
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from streams.decode import Decoder
from streams.join import hot

hot.FIRST_ROWS = 4  # so that rings grow and go around
DECODER = Decoder()


class Faults(RuleBasedStateMachine):
    """Hypothesis chooses what happens next; when something is wrong it finds the fewest steps to it."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.world = World(random.Random(seed), DECODER)

    @rule(action=st.sampled_from(sorted(ACTIONS)))
    def one(self, action: str) -> None:
        self.world.act(action)

    @rule(n=st.integers(1, 8))
    def work(self, n: int) -> None:
        for _ in range(n):
            for action in ("produce", "apply", "advance", "send", "watch", "ask"):
                self.world.act(action)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()
            self.world.check()


TestFaults = Faults.TestCase
TestFaults.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_dies_and_when_committed_readers_hold_what_a_count_by_hand_gives(seed: int) -> None:
    done = sequence(seed, 120, DECODER)
    assert done["(findings)"] > 0  # or stage 2 had nothing to get wrong


def test_a_count_that_is_off_by_one_pair_is_noticed() -> None:
    world = World(random.Random(1), DECODER)
    for _ in range(30):
        for action in ("produce", "apply", "advance", "send"):
            world.act(action)
    world.settle()
    world.check()
    label = next(d for d in world.partition.inputs["labels"].documents if d and d["label"] is not None)
    world.partition.inputs["labels"].documents.remove(label)
    with pytest.raises(AssertionError):
        world.check()
