"""Compiles the core's kernels once for this machine, by sending a few events through it; numba keeps them."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from schemas.records import RawBatch
from schemas.settings import JoinSettings, MonitorSettings
from streams.drift.detectors import load

if TYPE_CHECKING:
    from aftcast.simulation import Event

START_MS = 1_767_225_600_000
SPAN_MS = 1_800_000
EVENTS_PER_S = 2
DEMO_MODULES = (
    "aftcast.demo.run",
    "aftcast.demo.screen",
    "aftcast.working",
    "chdb",
    "sinks.clickhouse.client",
    "sinks.clickhouse.http_server",
    "sinks.clickhouse.migrate",
    "sinks.raw_writer",
    "streams.worker.worker",
)


def is_warm() -> bool:
    """Tell whether kernels are kept from an earlier run; whether all of them still fit, numba sees itself."""
    from streams.panes.kernels import add_pairs

    kept_in = add_pairs.stats.cache_path
    return kept_in is not None and any(Path(kept_in).glob("kernels.add_pairs-*.nbc"))


def warm_up() -> None:
    """Run every kernel that a worker needs; two seconds where they are compiled already."""
    # Here, as every worker asks ``is_warm``: what simulates and encodes takes a tenth of a second to import.
    from aftcast.simulation import INFERENCE, LABELS, Simulation
    from streams.decode import Decoder
    from streams.monitor import Monitor
    from streams.partition import PartitionStage

    simulation = Simulation(0, START_MS, EVENTS_PER_S)
    events = [event for block in simulation.blocks(START_MS + SPAN_MS) for event in block]
    decoder = Decoder()
    join, monitoring = JoinSettings(hot_horizon_ms=SPAN_MS), MonitorSettings(maturity_horizon_ms=SPAN_MS)
    stage = PartitionStage(0, 1, START_MS, join, monitoring)
    monitor = Monitor(monitoring)
    half = len(events) // 2
    for part in (events[:half], events[half:]):
        stage.apply_inference(decoder.decode_inference(_batch(part, INFERENCE)))
        stage.apply_labels(decoder.decode_labels(_batch(part, LABELS)))
        stage.advance(part[-1].time_ms, part[-1].time_ms)
        monitor.absorb(stage.take_changed())
        stage.take_changed_features()
        stage.features.pack_rows_at_rest(0)  # the second half begins in the pane in which the first one ends
    # Past the horizon the floor rises, and what lies below it is let go.
    stage.advance(START_MS + 3 * SPAN_MS, START_MS + 3 * SPAN_MS)
    stage.take_changed()


def _batch(events: Iterable["Event"], kind: str) -> RawBatch:
    chosen = [event for event in events if event.kind == kind]
    return RawBatch(
        topic=kind,
        partition=0,
        offsets=np.arange(len(chosen), dtype=np.int64),
        record_times_ms=np.array([event.time_ms for event in chosen], np.int64),
        keys=[event.key for event in chosen],
        values=[event.value for event in chosen],
    )


def import_everything() -> None:
    """Import what the demo imports, so that Python, too, keeps what it compiles."""
    for name in DEMO_MODULES:
        import_module(name)
    load()


if __name__ == "__main__":
    warm_up()
    import_everything()
