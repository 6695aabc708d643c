"""What stages tell, as messages: rows by model, progress to everyone, findings, alerts, dead letters."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas import messages
from schemas.findings import AlertEvent, LifecycleEvent, Progress, StreamTotals, Trouble
from schemas.records import DeadLetter
from streams.monitor import Findings
from streams.worker.sending import Outgoing

MESSAGE_LIMIT = 900_000  # bytes; brokers refuse 1 MiB, of which headers and framing take a little


def _kind(kind: bytes) -> tuple[tuple[str, bytes], ...]:
    return ((messages.KIND_HEADER, kind),)


def pane_messages(topic: str, rows: pa.RecordBatch) -> Iterator[Outgoing]:
    """Yield the rows of each model under its name as key, split so that brokers take them."""
    yield from _by_model(topic, rows, messages.PANES, messages.encode_panes)


def feature_messages(topic: str, rows: pa.RecordBatch) -> Iterator[Outgoing]:
    """Yield rows of features, likewise."""
    yield from _by_model(topic, rows, messages.FEATURES, messages.encode_features)


def _by_model(
    topic: str, rows: pa.RecordBatch, kind: bytes, encode: Callable[[pa.RecordBatch], bytes]
) -> Iterator[Outgoing]:
    if not rows.num_rows:
        return
    models = rows.column("model")
    names = sorted(pc.unique(models).to_pylist())
    for name in names:
        own = rows if len(names) == 1 else rows.filter(pc.equal(models, name))
        for value in _encoded(own, encode):
            yield Outgoing(topic, value, name.encode(), _kind(kind))


def _encoded(rows: pa.RecordBatch, encode: Callable[[pa.RecordBatch], bytes]) -> Iterator[bytes]:
    value = encode(rows)
    if len(value) <= MESSAGE_LIMIT or rows.num_rows == 1:
        yield value
        return
    half = rows.num_rows // 2
    yield from _encoded(rows.slice(0, half), encode)
    yield from _encoded(rows.slice(half), encode)


def progress_messages(topic: str, partitions: int, progress: Progress) -> Iterator[Outgoing]:
    """Yield the progress of one partition, to every partition of ``topic``: each has models of its own."""
    value = messages.encode(progress)
    for partition in range(partitions):
        yield Outgoing(topic, value, None, _kind(messages.PROGRESS), partition)


def totals_message(topic: str, totals: StreamTotals) -> Outgoing:
    """Return the totals of one partition, to partition 0: one monitor judges the share of dead letters."""
    return Outgoing(topic, messages.encode(totals), None, _kind(messages.TOTALS), 0)


def trouble_message(topic: str, trouble: Trouble) -> Outgoing:
    """Return what is wrong with the streams, to partition 0, whose monitor makes an alert of it."""
    return Outgoing(topic, messages.encode(trouble), None, _kind(messages.TROUBLE), 0)


def lifecycle_messages(topic: str, events: Iterable[LifecycleEvent]) -> Iterator[Outgoing]:
    """Yield lifecycle events under their model as key, so that they meet its rows."""
    for event in events:
        yield Outgoing(topic, messages.encode(event), event.model.encode(), _kind(messages.LIFECYCLE))


def dead_letter_messages(topic: str, letters: Iterable[DeadLetter]) -> Iterator[Outgoing]:
    for letter in letters:
        value = msgspec.json.encode(messages.dead_letter_document(letter))
        yield Outgoing(topic, value, letter.key)


def finding_messages(topic: str, findings: Findings) -> Iterator[Outgoing]:
    for drift in findings.drifts:
        yield Outgoing(topic, messages.encode(drift), drift.model.encode(), _kind(messages.DRIFT))
    for state in findings.states:
        yield Outgoing(topic, messages.encode(state), state.model.encode(), _kind(messages.STATE))
    for curve in findings.curves:
        yield Outgoing(topic, messages.encode(curve), curve.model.encode(), _kind(messages.CURVE))
    for calibration in findings.calibrations:
        key = calibration.model.encode()
        yield Outgoing(topic, messages.encode(calibration), key, _kind(messages.CALIBRATION))
    for reference in findings.references:
        yield Outgoing(topic, messages.encode(reference), reference.model.encode(), _kind(messages.REFERENCE))


def alert_messages(topic: str, alerts: Sequence[AlertEvent]) -> Iterator[Outgoing]:
    for alert in alerts:
        value = msgspec.json.encode(messages.alert_document(alert))
        yield Outgoing(topic, value, alert.fingerprint.encode())
