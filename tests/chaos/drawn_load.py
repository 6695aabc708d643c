"""Simulated traffic that is drawn into a file before it is sent: drawing costs as much as all workers do."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from aftcast.simulation import Simulation
from aftcast.simulation.events import Event

# Of a record on a busy machine; what is drawn sooner waits for its time, what is drawn later is sent at once.
DRAWING_S = 15e-6
SAY_EVERY_S = 30.0
LENGTH_BYTES = 8


class DrawnTraffic:
    """All events of a run in a file; ``blocks`` reads them in order of record time.

    Parameters
    ----------
    path
        Of the file; some 200 bytes an event.
    rate_per_s
        Predictions and labels together. Labels come minutes later, so a run begins with half of it.
    seconds
        Event time, from ``start_ms`` on, which lies behind the time that drawing takes.
    say
        Is told how far it is.
    """

    def __init__(
        self, path: Path, seed: int, rate_per_s: float, seconds: float, say: Callable[[str], None]
    ) -> None:
        self._path = path
        lead_ms = int(1000 * DRAWING_S * rate_per_s * seconds)
        simulation = Simulation(seed, time.time_ns() // 1_000_000 + lead_ms, rate_per_s)
        self.start_ms = simulation.start_ms
        self.end_ms = self.start_ms + int(1000 * seconds)
        self.predictions_per_s = simulation.predictions_per_s
        encoder, said_s, drawn = msgspec.msgpack.Encoder(), time.monotonic(), 0
        with path.open("wb") as out:
            for events in simulation.blocks(self.end_ms):
                block = encoder.encode(events)
                out.write(len(block).to_bytes(LENGTH_BYTES, "big") + block)
                drawn += len(events)
                if events and time.monotonic() - said_s > SAY_EVERY_S:
                    said_s, share = time.monotonic(), (events[-1].time_ms - self.start_ms) / (1000 * seconds)
                    say(f"{drawn:,} records drawn, {share:.0%}")
        say(f"{drawn:,} records drawn, {path.stat().st_size / 1e9:.1f} GB")

    def blocks(self) -> Iterator[list[Event]]:
        decoder = msgspec.msgpack.Decoder(list[Event])
        with self._path.open("rb") as file:
            while length := file.read(LENGTH_BYTES):
                yield decoder.decode(file.read(int.from_bytes(length, "big")))
