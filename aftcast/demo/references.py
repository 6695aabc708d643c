"""What features of the demo's models usually look like, counted as ``aftcast profile`` counts a recording."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from aftcast.configuration import Configuration, Model
from aftcast.profile import NEVER_MS, references_of, write_profile
from aftcast.simulation import INFERENCE, Simulation
from schemas.records import RawBatch
from schemas.settings import JoinSettings
from streams.decode import Decoder
from streams.partition import PartitionStage

HOUR_MS = 3_600_000
EVENTS_PER_S = 3.0  # an hour of them is 5,500 predictions: enough for twenty cells of each feature
# One false alarm a day instead of one a month: a run is ten hours, and features share the budget.
FALSE_ALARMS_PER_MONTH = 30.0


@contextmanager
def reference_file() -> Iterator[Path]:
    """Give a path for references that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="aftcast-reference-") as directory:
        yield Path(directory) / "reference.json"


def with_references(configuration: Configuration, seed: int, start_ms: int, path: Path) -> Configuration:
    """Return a configuration that holds features against an hour before the demo, written to ``path``.

    A day of traffic would freeze references by itself, but a demo has ten simulated hours.
    """
    simulation = Simulation(seed + 1, start_ms - HOUR_MS, EVENTS_PER_S)
    events = [event for block in simulation.blocks(start_ms) for event in block if event.kind == INFERENCE]
    recorded = RawBatch(
        configuration.topics.inference,
        0,
        np.arange(len(events)),
        np.array([event.time_ms for event in events]),
        [event.key for event in events],
        [event.value for event in events],
    )
    stage = PartitionStage(0, 1, -NEVER_MS, JoinSettings(NEVER_MS, 10**18), configuration.monitor_settings())
    stage.apply_inference(Decoder().decode_inference(recorded))
    names = sorted(stage.models())
    write_profile(path, [reference for name in names for reference in references_of(stage, name)])
    detection = configuration.detection.model_copy(update={"false_alarms_per_month": FALSE_ALARMS_PER_MONTH})
    models = {name: Model.model_validate({"reference": str(path)}) for name in names}
    return configuration.model_copy(update={"models": models, "detection": detection})
