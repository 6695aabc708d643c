"""Messages that no reader can use, as broken producers send them."""

import numpy as np

from aftcast.simulation.events import INFERENCE, LABELS, Event


def broken_event(draw: np.random.Generator, time_ms: int, sample: Event) -> Event:
    """Return a fault that looks like the sample: cut short, a field missing, or of the wrong kind."""
    name = sample.key.decode()
    faults = [
        Event(sample.kind, time_ms, sample.key, sample.value[: len(sample.value) // 2]),
        Event(
            INFERENCE,
            time_ms,
            sample.key,
            b'{"prediction_id": "%s", "timestamp": %d}' % (sample.key, time_ms),
        ),
        Event(
            INFERENCE,
            time_ms,
            sample.key,
            # Seconds where milliseconds are meant.
            f'{{"prediction_id": "{name}", "model": "fraud", "timestamp": {time_ms // 1000}, '
            '"prediction": "honest"}'.encode(),
        ),
        Event(
            LABELS, time_ms, sample.key, b'{"prediction_id": "", "label": "fraud", "timestamp": %d}' % time_ms
        ),
        Event(LABELS, time_ms, sample.key, b"fraud"),
    ]
    return faults[int(draw.integers(len(faults)))]
