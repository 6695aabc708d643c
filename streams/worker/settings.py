"""What a worker is told: addresses, topics, intervals, and the settings of the stages."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.settings import JoinSettings, MonitorSettings


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Names of the topics that a worker reads and writes."""

    inference: str = "inference-events"
    labels: str = "label-events"
    lifecycle: str = "lifecycle-events"
    alerts: str = "alert-events"
    dead_letters: str = "dead-letter-events"
    pane_updates: str = "pane-updates"
    findings: str = "aftcast-findings"
    state: str = "aftcast-state"
    journal: str = "aftcast-journal"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Everything a worker goes by.

    ``kafka`` are connection options under librdkafka's names; ``bootstrap.servers`` is required.
    ``instance`` is the static member id for rolling restarts, empty for none. Without ``checkpoints`` (a
    mock cluster has no compacted topics) nothing is claimed and the inputs are read from their beginning.
    ``metrics_port`` 0 takes any free port; None serves no metrics.
    """

    kafka: Mapping[str, str] = field(repr=False)  # holds passwords
    group: str = "aftcast"
    topics: TopicNames = field(default_factory=TopicNames)
    join: JoinSettings = field(default_factory=JoinSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    instance: str = ""
    checkpoints: bool = True
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    send_interval_s: float = 1.0
    journal_interval_s: float = 10.0  # at most so much is asked of the monitor again after a crash
    snapshot_interval_s: float = 300.0
    snapshot_after_bytes: int = 100_000_000  # of pane-updates: some seconds to read again
    session_s: float = 6.0  # with the heartbeat, a killed worker's partitions are taken over in about 5 s
    heartbeat_s: float = 1.0
    rebalance_s: float = 10.0
    stuck_after_s: float = 60.0
    stop_within_s: float = 4.0
    look_for_partitions_s: float = 30.0  # topics may be given more while a worker runs
    look_at_logs_s: float = 10.0  # or be made anew, or lose what was written last

    @property
    def bootstrap(self) -> str:
        return self.kafka["bootstrap.servers"]
