"""Which models are being worked on, by the topic of lifecycle events: their alerts are silent meanwhile."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from confluent_kafka import Message

from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.topic_reading import records
from schemas.findings import LifecycleEvent
from schemas.records import RawBatch

STARTED, ENDED = "maintenance_started", "maintenance_ended"


@dataclass(frozen=True)
class OpenMaintenance:
    """Maintenance of a model or of one of its versions ("": all) that has begun and not ended."""

    model: str
    model_version: str
    since_ms: int
    message: str
    actor: str

    @property
    def text(self) -> str:
        when = datetime.fromtimestamp(self.since_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        name = f"{self.model} {self.model_version}".strip()
        why = ": ".join(part for part in (self.actor, self.message) if part)
        return f"{name} is in maintenance since {when}" + (f" ({why})" if why else "")


def open_maintenance(configuration: Configuration, now_ms: int) -> tuple[OpenMaintenance, ...]:
    """Read the whole topic; ``Failure`` if it cannot be read."""
    options = {**configuration.kafka.client_options(), "isolation.level": "read_committed"}
    topic = configuration.topics.lifecycle
    found = list(records(options, (topic,), from_beginning=True, follow=False))
    return still_open(lifecycle_events(configuration, found), now_ms)


def lifecycle_events(configuration: Configuration, found: list[Message]) -> list[LifecycleEvent]:
    """Decode records of the topic; what is no lifecycle event is left to the dead letters."""
    if not found:
        return []
    # Only now: the decoder's kernels take seconds to load.
    from aftcast.working import decoder_of
    from streams.decode import RegistryUnavailable

    headers: list[Any] = [record.headers() or () for record in found]
    raw = RawBatch(
        configuration.topics.lifecycle,
        0,
        np.arange(len(found), dtype=np.int64),
        np.array([record.timestamp()[1] for record in found], np.int64),
        [record.key() for record in found],
        [record.value() for record in found],
        headers if any(headers) else (),
    )
    try:
        events, _ = decoder_of(configuration).decode_lifecycle(raw)
    except RegistryUnavailable as error:
        raise Failure(f"{configuration.topics.lifecycle} cannot be read: {error}") from None
    return events


def still_open(events: Iterable[LifecycleEvent], now_ms: int) -> tuple[OpenMaintenance, ...]:
    """Return what has begun by now and not ended, by model and version; events may come in any order.

    Examples
    --------
    >>> begun = LifecycleEvent("fraud", 1_000, "maintenance_started", message="new GPU")
    >>> ended = LifecycleEvent("fraud", 5_000, "maintenance_ended")
    >>> still_open([ended, begun], 4_000)[0].text
    'fraud is in maintenance since 1970-01-01 00:00:01 (new GPU)'
    >>> still_open([ended, begun], 5_000)
    ()
    """
    begun: dict[tuple[str, str], LifecycleEvent] = {}
    told = [event for event in events if event.kind in (STARTED, ENDED) and event.timestamp_ms <= now_ms]
    # At the same time one ends and the next begins, as the monitor has it.
    for event in sorted(told, key=lambda event: (event.timestamp_ms, event.kind)):
        scope = event.model, event.model_version
        if event.kind == ENDED:
            begun.pop(scope, None)
        else:
            begun.setdefault(scope, event)
    return tuple(
        OpenMaintenance(*scope, event.timestamp_ms, event.message, event.actor)
        for scope, event in sorted(begun.items())
    )
