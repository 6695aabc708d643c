"""A seeded schedule of what goes wrong, and the hand that does it."""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from flaky_store import FlakyStore
from fleet import Fleet

from aftcast.kafka_broker import KafkaBroker

READY_WITHIN_S = 30.0
SESSION_S = 6.0  # of the workers' group; who is silent for longer has lost its partitions
KINDS = (
    "kill a worker",
    "end a worker",
    "freeze a worker",
    "a fourth worker",
    "kill two workers",
    "kill the raw writer",
    "kill the broker",
    "freeze the broker",
    "kill the store",
    "store: down",
    "store: slow",
    "store: http 500",
    "store: no space",
    "store: half a request",
    "store: half an answer",
)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens, for how long, and how long there is peace afterwards."""

    kind: str
    lasts_s: float
    peace_s: float


def schedule(
    seed: int, seconds: float, kinds: tuple[str, ...] = KINDS, peace_times: float = 1.0
) -> Iterator[Disturbance]:
    """Yield disturbances that together take ``seconds``: each kind once in random order, then again."""
    draw = np.random.default_rng([seed, 1])
    left_s = seconds
    while True:
        for i in draw.permutation(len(kinds)):
            kind = kinds[int(i)]
            lasts_s = float(draw.uniform(1.0, 5.0))
            if kind == "freeze a worker":
                lasts_s += SESSION_S
            if kind == "kill the broker":
                lasts_s /= 2
            peace_s = peace_times * float(draw.choice([0.3, 2.0, 5.0, 8.0]))
            left_s -= lasts_s + peace_s
            if left_s < 0:
                return
            yield Disturbance(kind, lasts_s, peace_s)


class Hand:
    """Does what the schedule says to the processes, the broker and the way to ClickHouse."""

    def __init__(
        self,
        seed: int,
        fleet: Fleet,
        broker: KafkaBroker,
        store: FlakyStore,
        worker: tuple[str, ...],
        say: Callable[[str], None],
    ) -> None:
        self._draw = np.random.default_rng([seed, 2])
        self._fleet, self._broker, self._store = fleet, broker, store
        self._worker = worker
        self._say = say

    def do(self, one: Disturbance) -> None:
        """Begin a disturbance, wait until it is over, then keep the peace."""
        what, _, mode = one.kind.partition(": ")
        if mode:
            self._say(f"{one.kind}, {one.lasts_s:.1f} s")
            self._store.set(mode)
            time.sleep(one.lasts_s)
            self._store.set("open")
        else:
            getattr(self, "_" + what.replace(" ", "_"))(one.lasts_s)
        time.sleep(one.peace_s)

    def _some_worker(self) -> str:
        names = self._fleet.names("worker")
        return names[int(self._draw.integers(len(names)))]

    def _signal(self, name: str, number: signal.Signals) -> None:
        there = self._fleet.signal(name, number)
        self._say(f"{number.name} to {name}" + ("" if there else ", which is not there"))

    def _kill_a_worker(self, lasts_s: float) -> None:
        # Once, and often again while it starts or restores.
        self._signal(name := self._some_worker(), signal.SIGKILL)
        if self._draw.random() < 0.5:
            time.sleep(lasts_s)
            self._signal(name, signal.SIGKILL)

    def _end_a_worker(self, _lasts_s: float) -> None:
        self._signal(self._some_worker(), signal.SIGTERM)

    def _freeze_a_worker(self, lasts_s: float) -> None:
        self._signal(name := self._some_worker(), signal.SIGSTOP)
        time.sleep(lasts_s)
        self._signal(name, signal.SIGCONT)

    def _a_fourth_worker(self, lasts_s: float) -> None:
        self._say("a fourth worker joins")
        self._fleet.start("worker-4", *self._worker)
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < READY_WITHIN_S and not self._has_joined():
            time.sleep(0.1)
        time.sleep(lasts_s)
        code = self._fleet.dismiss("worker-4")
        self._say(f"the fourth worker leaves, code {code}")

    def _has_joined(self) -> bool:
        text = self._fleet.log("worker-4").read_bytes()
        return text.rfind(b'"ready"') > text.rfind(b'"stopping"')

    def _kill_two_workers(self, _lasts_s: float) -> None:
        for name in self._draw.permutation(self._fleet.names("worker"))[:2]:
            self._signal(str(name), signal.SIGKILL)

    def _kill_the_raw_writer(self, _lasts_s: float) -> None:
        self._signal("raw", signal.SIGKILL)

    def _kill_the_store(self, _lasts_s: float) -> None:
        self._signal("store", signal.SIGKILL)

    def _kill_the_broker(self, lasts_s: float) -> None:
        self._say(f"SIGKILL to the broker, back after {lasts_s:.1f} s")
        self._broker.kill9()
        time.sleep(lasts_s)
        self._broker.start()

    def _freeze_the_broker(self, lasts_s: float) -> None:
        self._say(f"SIGSTOP to the broker for {lasts_s:.1f} s")
        self._broker.pause()
        time.sleep(lasts_s)
        self._broker.resume()
