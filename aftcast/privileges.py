"""The one list of rights that each part of aftcast needs, in Kafka and in ClickHouse, and nothing beyond."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from aftcast.configuration import Configuration

Part = Literal["setup", "streams", "raw", "forward", "reader", "check", "producer"]
PARTS: Final[Mapping[Part, str]] = {
    "setup": "aftcast setup: creates topics, tables and views",
    "streams": "aftcast worker --role streams: joins, counts, watches, tells alerts",
    "raw": "aftcast worker --role raw: copies topics into ClickHouse, and the cold join there",
    "forward": "aftcast forward: delivers alerts",
    "reader": "people and Grafana: aftcast alerts, dead-letters, state, explain, sql, and dashboards",
    "check": "aftcast check: looks at everything, changes nothing",
    "producer": "services that send predictions, labels and deployments",
}
Kind = Literal["topic", "group", "transactional-id", "cluster"]
CLUSTER = "kafka-cluster"  # the only name that a cluster has in ACLs
# Who reads partitions of its own choice joins no group, but librdkafka asks for the coordinator of one.
READER, STATE_READER = "aftcast-reader", "aftcast-state-reader"


@dataclass(frozen=True, slots=True)
class Right:
    """Operations on one thing of Kafka, or on all whose name begins so (``prefixed``)."""

    kind: Kind
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False

    def command(self, principal: str, bootstrap: str) -> str:
        """Return the call of Kafka's own tool that gives it."""
        words = [f"kafka-acls.sh --bootstrap-server {bootstrap} --add --allow-principal {principal}"]
        words += [f"--operation {operation}" for operation in self.operations]
        words.append("--cluster" if self.kind == "cluster" else f"--{self.kind} {self.name}")
        if self.prefixed:
            words.append("--resource-pattern-type prefixed")
        return " ".join(words)


def kafka_rights(configuration: Configuration) -> dict[Part, tuple[Right, ...]]:
    """Return the rights of each part; Read and Write let a client describe, too."""
    topics, group = configuration.topics, configuration.kafka.group
    inputs = (topics.inference, topics.labels, topics.lifecycle)
    told = (topics.findings, topics.alerts, topics.dead_letters)
    kept = (topics.state, topics.journal)
    every = (*inputs, topics.pane_updates, *told, *kept)

    def on(names: tuple[str, ...], *operations: str) -> tuple[Right, ...]:
        return tuple(Right("topic", name, operations) for name in names)

    looked_at = (group, f"{group}-raw", READER, STATE_READER)
    groups = tuple(Right("group", one, ("Describe",)) for one in looked_at)
    return {
        "setup": (
            *on(every, "Create", "Describe", "DescribeConfigs"),
            *on(kept, "Alter"),  # more partitions when the inputs have grown
        ),
        "streams": (
            *on(inputs, "Read"),
            *on((topics.pane_updates, *kept), "Read", "Write"),
            *on(told, "Write"),
            Right("group", group, ("Read",)),
            Right("group", STATE_READER, ("Describe",)),
            *(Right("transactional-id", f"{group}-{one}-", ("Write",), prefixed=True) for one in kept),
        ),
        "raw": (
            *on((*inputs, topics.pane_updates, *told), "Read"),
            Right("group", f"{group}-raw", ("Read",)),
            Right("group", f"{group}-raw-ends", ("Describe",)),
        ),
        "forward": (
            *on((topics.alerts,), "Read"),
            *on((topics.dead_letters,), "Write"),
            Right("group", f"{group}-forward-", ("Read",), prefixed=True),
        ),
        "reader": (
            *on((topics.alerts, topics.dead_letters, topics.lifecycle, topics.state), "Read"),
            *on((topics.inference, topics.labels, topics.pane_updates, topics.findings), "Describe"),
            *groups,
        ),
        "check": (
            *on(inputs, "Read"),  # the newest keys, and what is in maintenance
            *on((topics.state,), "Read"),
            *on(every, "Describe", "DescribeConfigs"),
            *groups,
            Right("group", f"{group}-forward-", ("Describe",), prefixed=True),
            Right("cluster", CLUSTER, ("DescribeConfigs",)),
        ),
        "producer": on(inputs, "Write"),
    }


def clickhouse_rights(database: str) -> dict[Part, tuple[str, ...]]:
    """Return what is granted to each part, as it stands between GRANT and TO."""
    within = f"{database}.*"
    reads = f"SELECT ON {within}"
    return {
        "setup": (
            f"CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP VIEW, ALTER TABLE, SELECT, INSERT ON {within}",
        ),
        "raw": (f"SELECT, INSERT ON {within}",),
        "reader": (reads,),
        "check": (reads, "SELECT ON system.disks"),
    }


def statements(configuration: Configuration, part: Part, prefix: str) -> Iterator[str]:
    """Yield the commands that give one part its rights, each runnable as it is.

    ``prefix`` and the part's name are the user, ``aftcast-streams``.
    """
    user = f"{prefix}{part}"
    for right in kafka_rights(configuration)[part]:
        yield right.command(f"User:{user}", configuration.kafka.bootstrap_servers)
    for granted in clickhouse_rights(configuration.clickhouse.database).get(part, ()):
        yield f"clickhouse-client --query 'GRANT {granted} TO `{user}`'"
