"""The topics that aftcast reads and writes, and the settings without which its promises do not hold."""

from dataclasses import dataclass

from aftcast.configuration import Configuration

DAY_MS = 86_400_000
OUTAGE_MS = 3 * DAY_MS  # a long weekend; what was not read by then is gone


@dataclass(frozen=True)
class TopicPlan:
    """One topic: its name, how many partitions it gets, and its settings."""

    name: str
    purpose: str
    partitions: int
    settings: dict[str, str]


def topic_plans(configuration: Configuration, replication: int) -> list[TopicPlan]:
    """Return all topics, those that users fill first.

    ``replication`` is the number of copies: with three, a write waits for two of them.
    """
    topics = configuration.topics
    horizon_ms = max(
        configuration.join.hot_horizon_ms,
        configuration.maturity_horizon_ms,
        *(model.maturity_horizon_ms or 0 for model in configuration.models.values()),
        0,
    )
    retention_ms = max(7 * DAY_MS, horizon_ms + OUTAGE_MS)
    common = {
        "min.insync.replicas": "2" if replication >= 3 else "1",
        "unclean.leader.election.enable": "false",
    }
    kept = {"cleanup.policy": "delete", "retention.ms": str(retention_ms)}
    # The broker's clock, not the producer's: one wrong clock must not move the time of all.
    received = {**common, **kept, "message.timestamp.type": "LogAppendTime"}
    # 64 MB and 10 %: a restore reads little more than what is live.
    compacted = {"cleanup.policy": "compact", "segment.bytes": "67108864", "min.cleanable.dirty.ratio": "0.1"}
    plans = [
        (topics.inference, "predictions", received),
        (topics.labels, "labels", received),
        (topics.lifecycle, "lifecycle events", received),
        (topics.alerts, "alerts", {**common, **kept}),
        (topics.dead_letters, "dead letters", {**common, **kept}),
        # Its key is the model: compaction would leave one row of each.
        (topics.pane_updates, "rollups on their way", {**common, **kept}),
        (topics.findings, "drift and states", {**common, **kept}),
        (topics.state, "checkpoints", {**common, **compacted}),
        (topics.journal, "what detectors consumed", {**common, **compacted}),
    ]
    return [TopicPlan(name, purpose, topics.partitions, settings) for name, purpose, settings in plans]
