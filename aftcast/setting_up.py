"""Creates topics, tables and partitions of our own that are missing, and leaves alone what exists."""

from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.findings import Finding
from aftcast.kafka_admin import KafkaAdmin
from aftcast.kafka_checks import own_counts, topic_findings
from aftcast.store_checks import open_clickhouse
from aftcast.topic_plan import TopicPlan, topic_plans
from sinks.clickhouse.errors import ClickHouseError
from sinks.clickhouse.migrate import migrate


def set_up_topics(configuration: Configuration) -> list[Finding]:
    """Create missing topics; existing ones are held against what they must be, and not altered."""
    try:
        admin = KafkaAdmin(configuration.kafka.client_options())
        brokers, partitions = admin.cluster()
        replication = 3 if brokers >= 3 else 1
        findings = []
        if replication == 1:
            text = f"{brokers} of the 3 brokers that three copies need: topics are created with one"
            findings.append(Finding("warning", "replication", text))
        plans = _with_existing_count(configuration, topic_plans(configuration, replication), partitions)
        existing = [plan for plan in plans if plan.name in partitions]
        for plan in plans:
            if plan.name not in partitions:
                admin.create(plan, replication)
                copies = f"{plan.partitions} partitions, replication {replication}"
                policy = plan.settings["cleanup.policy"]
                findings.append(Finding("done", f"topic {plan.name}", f"created: {copies}, policy {policy}"))
        for plan in existing:
            count = partitions[plan.name]
            findings.append(Finding("ok", f"topic {plan.name}", f"exists, {count} partitions"))
        findings += _grow_own(configuration, admin)
        wrong = topic_findings(configuration, existing, admin.topic_settings(p.name for p in existing))
        findings += [finding for finding in wrong if finding.grade != "ok"]
    except Failure as failure:
        return [Finding("failure", "kafka", str(failure).removeprefix("Kafka: "), "see aftcast check")]
    inputs = {partitions.get(name) for name in (configuration.topics.inference, configuration.topics.labels)}
    if None not in inputs and len(inputs) > 1:
        text = (
            f"the input topics have {' and '.join(map(str, inputs))}: a label would not meet its prediction"
        )
        findings.append(Finding("failure", "partition counts", text, "aftcast check names the command"))
    return findings


def _grow_own(configuration: Configuration, admin: KafkaAdmin) -> list[Finding]:
    """Give state and journal a partition for each one that the topics beside them have by now."""
    _, partitions = admin.cluster()
    findings = []
    for own, of in own_counts(configuration):
        had, wanted = partitions[own], partitions[of]
        if had < wanted:
            admin.grow(own, wanted)
            text = f"given {wanted} partitions, it had {had}: {of} has as many"
            findings.append(Finding("done", f"topic {own}", text))
    return findings


def _with_existing_count(
    configuration: Configuration, plans: list[TopicPlan], partitions: dict[str, int]
) -> list[TopicPlan]:
    """Take the count of the input topic that exists: the other, and the state, must have the same."""
    topics = configuration.topics
    count = partitions.get(topics.inference) or partitions.get(topics.labels)
    if count is None:
        return plans
    return [TopicPlan(plan.name, plan.purpose, count, plan.settings) for plan in plans]


def set_up_clickhouse(configuration: Configuration) -> list[Finding]:
    """Create the database and apply the migrations that it lacks."""
    try:
        client = open_clickhouse(configuration)
        try:
            lines = migrate(client, configuration.clickhouse.database)
        finally:
            client.close()
    except ClickHouseError as error:
        text = str(error).removeprefix("clickhouse: ")
        return [Finding("failure", "clickhouse", text, "see aftcast check")]
    return [
        Finding(
            "done" if line.endswith((" created", " applied")) else "ok",
            "clickhouse",
            line.removeprefix("clickhouse: "),
        )
        for line in lines
    ]
