"""How each input partition stands: its checkpoint, its lag, and what the worker that has it tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aftcast.configuration import Configuration
from aftcast.findings import Finding
from aftcast.lifecycle_reading import OpenMaintenance, open_maintenance
from aftcast.metrics_reading import read_pages
from aftcast.quantities import duration_text
from aftcast.state_reading import StateReader

STALE_S = 60.0  # a checkpoint goes with each second's results, so a minute without one is an outage


@dataclass(frozen=True)
class Kept:
    """What the newest checkpoint of a partition says, and how far the logs are beyond it."""

    epoch: int
    inference_offset: int
    label_offset: int
    inference_lag: int  # records
    label_lag: int
    lag_seconds: float  # of record time, in the slower topic
    floor_ms: int
    age_seconds: float
    restore_from_inference: int  # a restart reads again from here
    restore_from_labels: int


@dataclass(frozen=True)
class Memory:
    """What lies in the memory of the worker that has the partition."""

    waiting: int
    waiting_bytes: int
    panes: int
    pane_bytes: int
    restored: float  # share of what waits that is read again; 1: at work


@dataclass(frozen=True)
class PartitionState:
    """One input partition; None is what nobody tells: no checkpoint yet, or no worker's page was read."""

    partition: int
    checkpoint: Kept | None
    memory: Memory | None


@dataclass(frozen=True)
class GroupLag:
    """What a consumer group still has to read of a topic; marks of transactions count as records."""

    group: str
    topic: str
    records: int | None  # None: it has committed nothing there


@dataclass(frozen=True)
class State:
    partitions: tuple[PartitionState, ...]
    groups: tuple[GroupLag, ...]
    maintenance: tuple[OpenMaintenance, ...]  # models whose alerts are silent
    unread: dict[str, str]  # pages of metrics that did not answer, with the reason


def look(configuration: Configuration, urls: Sequence[str], now_ms: int) -> State:
    """Read all there is to know; ``Failure`` where Kafka does not answer."""
    topics, group = configuration.topics, configuration.kafka.group
    reader = StateReader(configuration.kafka.client_options())
    counts = {
        name: reader.partitions(name)
        for name in topics.model_dump(exclude={"partitions", "state", "journal"}).values()
    }
    ends = reader.ends([(topic, partition) for topic, count in counts.items() for partition in range(count)])
    checkpoints = reader.checkpoints(topics.state)
    token = configuration.metrics.token
    figures, unread = read_pages(urls, token.get_secret_value() if token else "")
    partitions = []
    for partition in range(counts[topics.inference]):
        found = checkpoints.get(partition)
        told = figures.get(partition, {})
        kept = None
        if found is not None:
            checkpoint, written_ms = found
            kept = Kept(
                checkpoint.epoch,
                checkpoint.inference_offset,
                checkpoint.label_offset,
                max(0, ends[topics.inference, partition] - checkpoint.inference_offset),
                max(0, ends.get((topics.labels, partition), 0) - checkpoint.label_offset),
                max(0, now_ms - min(checkpoint.inference_ms, checkpoint.labels_ms)) / 1000,
                checkpoint.floor_now_ms,
                max(0, now_ms - written_ms) / 1000,
                checkpoint.inference_low,
                checkpoint.label_low,
            )
        memory = None
        if "aftcast_waiting_predictions" in told:
            memory = Memory(
                int(told["aftcast_waiting_predictions"]),
                int(told.get("aftcast_waiting_bytes", 0)),
                int(told.get("aftcast_panes", 0)),
                int(told.get("aftcast_pane_bytes", 0)),
                _restored(told),
            )
        partitions.append(PartitionState(partition, kept, memory))
    groups = []
    for who, names in ((group, (topics.pane_updates, topics.lifecycle)), (group + "-raw", list(counts))):
        of_topic = {topic: [(topic, partition) for partition in range(counts[topic])] for topic in names}
        committed = reader.committed(who, [place for places in of_topic.values() for place in places])
        for topic, places in of_topic.items():
            known = any(place in committed for place in places)
            left = sum(max(0, ends[place] - committed.get(place, 0)) for place in places)
            groups.append(GroupLag(who, topic, left if known else None))
    maintenance = open_maintenance(configuration, now_ms)
    return State(tuple(partitions), tuple(groups), maintenance, unread)


def _restored(told: Mapping[str, float]) -> float:
    of = told.get("aftcast_restore_records", 0.0)
    if told.get("aftcast_settled", 1.0) or not of:
        return told.get("aftcast_settled", 1.0)
    return told.get("aftcast_restored_records", 0.0) / of


def state_findings(configuration: Configuration, now_ms: int) -> list[Finding]:
    """Tell of partitions that nobody works on, and of those that are being restored."""
    page = metrics_url(configuration)
    state = look(configuration, [page], now_ms)
    silent = [
        Finding("ok", "maintenance", f"{one.text}: no alert of it begins to fire")
        for one in state.maintenance
    ]
    ages = {one.partition: one.checkpoint.age_seconds for one in state.partitions if one.checkpoint}
    if not ages:
        return [*silent, Finding("ok", "checkpoints", "none yet: no worker has run")]
    findings = []
    for one in state.partitions:
        if one.memory is not None and one.memory.restored < 1:
            text = f"being restored: {one.memory.restored:.0%} of what waits is read again (told by {page})"
            remedy = "wait; aftcast state shows how far it is"
            findings.append(Finding("warning", f"partition {one.partition}", text, remedy))
    stale = [partition for partition, age_s in ages.items() if age_s > STALE_S]
    if stale:
        age = duration_text(round(max(ages.values())) * 1000)
        text = f"none of partitions {', '.join(map(str, stale))} for up to {age}: nobody works on them"
        findings.append(Finding("warning", "checkpoints", text, "start a worker: aftcast worker"))
    steady = [Finding("ok", "checkpoints", f"{len(ages)} partitions, each within a minute")]
    return silent + (findings or steady)


def metrics_url(configuration: Configuration) -> str:
    """Return where a worker with this configuration serves its metrics on this machine."""
    host = configuration.metrics.host
    return f"http://{'127.0.0.1' if host in ('', '0.0.0.0') else host}:{configuration.metrics.port}/metrics"  # noqa: S104
