"""What features of the demo's models usually look like, as ``aftcast profile`` would have counted it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aftcast.configuration import Configuration, Model
from aftcast.profile import profile, write_profile
from aftcast.simulation import Simulation
from aftcast.simulation.files import write_ndjson

HOUR_MS = 3_600_000
EVENTS_PER_S = 3.0  # an hour of them is 5,500 predictions: enough for twenty cells of each feature


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
    write_ndjson(path.parent, simulation.blocks(start_ms))
    inference = [path.parent / "inference.ndjson"]
    references, _ = profile(inference, configuration.monitor_settings(), lambda _path, _n: None)
    write_profile(path, references)
    names = sorted({reference.model for reference in references})
    models = {name: Model.model_validate({"reference": str(path)}) for name in names}
    return configuration.model_copy(update={"models": models})
