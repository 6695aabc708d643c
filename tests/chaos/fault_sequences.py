"""At least a thousand random sequences of faults over the pure core, each counted by hand.

    python tests/chaos/fault_sequences.py [--sequences 1000] [--seed 0] [--actions 120]

Events come late, early, twice, corrected, withdrawn, never or implicitly; they are read in any batches and
any order of both inputs, while owners die before, in the middle of and after a transaction, die again while
they restore, and former owners go on unaware. What committed readers hold must equal a count by hand.
"""

import argparse
import random
import sys
import time
from collections import Counter

from fault_system import EventMaker, Owner, Partition, committed_rows, expected
from fault_watching import Watched, Watcher
from log_model import LogModel

from streams.decode import Decoder
from streams.join import hot

ACTIONS = {
    "produce": 30,
    "apply": 40,
    "advance": 12,
    "send": 12,
    "die": 2,
    "die half-sent": 2,
    "die before it learns of its commit": 1,
    "be replaced unaware": 2,
    "former owner goes on": 4,
    "time out": 1,
    "long silence": 1,
    "watch": 14,
    "ask": 12,
    "watcher dies": 2,
    "watcher dies half-told": 2,
    "watcher is replaced unaware": 1,
    "former watcher goes on": 2,
}
MOST_UNAWARE = 3


class World:
    """One partition with its owner and former ones; each action is one thing that can happen."""

    def __init__(self, rng: random.Random, decoder: Decoder) -> None:
        self.rng, self._decoder = rng, decoder
        self.partition = Partition(0, LogModel())
        self.owner = Owner(self.partition, decoder)
        self.unaware: list[Owner] = []
        self.events = EventMaker(rng)
        self.watched = Watched(self.partition.log)
        self.watcher = Watcher(self.watched)
        self.unaware_watchers: list[Watcher] = []
        self.done: Counter[str] = Counter()

    def act(self, action: str) -> None:
        self.done[action] += 1
        getattr(self, "_" + action.replace(" ", "_").replace("-", "_"))()

    def settle(self) -> None:
        """Let the owner read everything and send; former ones try to, too."""
        for former in self.unaware:
            self._work(former)
            assert former.restoring or not former.send(), "a former owner could commit"
        while not self.owner.caught_up():
            for side in ("inference", "labels"):
                self.owner.apply(side, 7)
        self.owner.advance()
        self._send_or_replace()
        self.watcher.take(10**6)
        assert self.watcher.ask(write=True, snapshot=False)

    def check(self) -> None:
        """Compare what committed readers have with a count by hand."""
        oracle, rows = expected(self.partition), committed_rows(self.partition)
        want = oracle.rows()
        for key in want.keys() | rows.keys():
            assert rows.get(key) == want.get(key), (key, rows.get(key), want.get(key))
        letters = [letter for _, letter in self.partition.log.committed(("dead-letters", 0))]
        places = [(letter.topic, letter.offset) for letter in letters]
        assert len(places) == len(set(places)), f"dead letters twice: {places}"
        reasons = Counter(letter.reason.split(":")[0] for letter in letters)
        assert reasons["id_reused"] == oracle.reused, (reasons, oracle.reused)
        broken = sum(document is None for i in self.partition.inputs.values() for document in i.documents)
        assert reasons["malformed_json"] == broken, (reasons, broken)
        found, wanted = self.watched.found(), self.watched.expected()
        self.done["(findings)"] += len(found)
        assert found == wanted, ("findings", len(found), len(wanted), set(found) ^ set(wanted))

    # -- actions -------------------------------------------------------------------------------------------

    def _produce(self) -> None:
        partition, rng = self.partition, self.rng
        for _ in range(rng.randint(1, 4)):
            partition.now_ms += rng.choice([0, 10, 100, 400])
            if rng.random() < 0.5:
                partition.inputs["inference"].put(self.events.prediction(partition.now_ms), partition.now_ms)
            else:
                partition.inputs["labels"].put(self.events.label(partition.now_ms), partition.now_ms)

    def _apply(self) -> None:
        self._work(self.owner)

    def _advance(self) -> None:
        self.owner.advance()

    def _send(self) -> None:
        self._send_or_replace()

    def _die(self) -> None:
        self.owner = Owner(self.partition, self._decoder)

    def _die_half_sent(self) -> None:
        self.owner.send(cut=self.rng.randint(1, 4))
        self._die()

    def _die_before_it_learns_of_its_commit(self) -> None:
        self.owner.send()
        self._die()

    def _be_replaced_unaware(self) -> None:
        if self.rng.random() < 0.5:
            self.owner.send(cut=self.rng.randint(1, 3))
        self.unaware = [*self.unaware, self.owner][-MOST_UNAWARE:]
        self._die()

    def _former_owner_goes_on(self) -> None:
        if self.unaware:
            former = self.rng.choice(self.unaware)
            self._work(former)
            former.advance()
            assert former.restoring or not former.send(), "a former owner could commit"

    def _time_out(self) -> None:
        self.partition.log.time_out(self.partition.name)

    def _long_silence(self) -> None:
        self.partition.now_ms += self.rng.choice([2_000, 6_000])

    def _watch(self) -> None:
        self.watcher.take(self.rng.randint(1, 8))

    def _ask(self) -> None:
        told = self.watcher.ask(write=self.rng.random() < 0.3, snapshot=self.rng.random() < 0.15)
        assert told, "who watches was fenced by nobody"

    def _watcher_dies(self) -> None:
        self.watcher = Watcher(self.watched)

    def _watcher_dies_half_told(self) -> None:
        self.watcher.ask(write=True, snapshot=self.rng.random() < 0.3, cut=self.rng.randint(1, 3))
        self._watcher_dies()

    def _watcher_is_replaced_unaware(self) -> None:
        self.unaware_watchers = [*self.unaware_watchers, self.watcher][-MOST_UNAWARE:]
        self._watcher_dies()

    def _former_watcher_goes_on(self) -> None:
        if self.unaware_watchers:
            former = self.rng.choice(self.unaware_watchers)
            former.take(5)
            found = self.watched.found()
            former.ask(write=True, snapshot=False)
            assert found == self.watched.found(), "a former watcher could tell"

    def _work(self, owner: Owner) -> None:
        owner.apply(self.rng.choice(["inference", "labels"]), self.rng.randint(1, 6))

    def _send_or_replace(self) -> None:
        if not self.owner.send():
            self._die()  # fenced: it ends, and a supervisor starts it again


def sequence(seed: int, actions: int, decoder: Decoder) -> Counter[str]:
    """Run one random sequence; AssertionError where a count differs."""
    rng = random.Random(seed)
    world = World(rng, decoder)
    names, weights = list(ACTIONS), list(ACTIONS.values())
    for action in rng.choices(names, weights, k=actions):
        world.act(action)
    world.settle()
    world.check()
    return world.done


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first; the next has one more")
    parser.add_argument("--actions", type=int, default=120)
    args = parser.parse_args()
    hot.FIRST_ROWS = 4  # so that rings grow and go around
    decoder, begun_s = Decoder(), time.monotonic()
    done: Counter[str] = Counter()
    wrong = []
    for seed in range(args.seed, args.seed + args.sequences):
        try:
            done += sequence(seed, args.actions, decoder)
        except AssertionError as error:
            wrong.append(seed)
            again = (
                f"python tests/chaos/fault_sequences.py --sequences 1 --seed {seed} --actions {args.actions}"
            )
            print(f"seed {seed}: {str(error)[:2000]}\n  again with: {again}", flush=True)
    for action, n in done.most_common():
        print(f"{n:>9,}  {action}")
    print(f"{args.sequences:,} sequences, {len(wrong)} wrong, {time.monotonic() - begun_s:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
