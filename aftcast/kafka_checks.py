"""What can be wrong with Kafka for aftcast: topics missing, counts unequal, settings that lose data."""

from collections.abc import Collection, Mapping

from aftcast.clock_checks import NowMs, kafka_clock_finding, machine_now_ms
from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.findings import Finding
from aftcast.kafka_admin import KafkaAdmin
from aftcast.key_checks import key_findings
from aftcast.quantities import duration_text
from aftcast.rights_checks import rights_findings
from aftcast.topic_plan import DAY_MS, TopicPlan, topic_plans

ALLOWED_AHEAD_MS = 300_000  # a record time further ahead than this moves the watermark past honest events


def kafka_findings(configuration: Configuration, now_ms: NowMs = machine_now_ms) -> list[Finding]:
    """Look at brokers, topics, their settings, rights and time; what is wrong comes with its remedy."""
    servers = configuration.kafka.bootstrap_servers
    try:
        admin = KafkaAdmin(configuration.kafka.client_options())
        brokers, partitions = admin.cluster()
    except Failure as failure:
        remedy = "check [kafka] bootstrap_servers and the security options, and that the broker runs"
        return [Finding("failure", "kafka", str(failure).removeprefix("Kafka: "), remedy)]
    count = f"{brokers} broker{'s' * (brokers != 1)}"
    findings = [Finding("ok", "kafka", f"reachable at {servers}, {count}")]
    try:
        findings.append(Finding("ok", "kafka version", admin.version()))
    except Failure as failure:
        findings.append(
            Finding("warning", "kafka version", str(failure), "allow DescribeConfigs on the cluster")
        )
    if brokers < 3:
        findings.append(
            Finding(
                "warning",
                "replication",
                f"{count}: topics have one copy, and what the broker loses is lost",
                "three brokers or more keep each record three times",
            )
        )
    plans = topic_plans(configuration, 3 if brokers >= 3 else 1)
    hidden = _hidden(admin, [plan.name for plan in plans if plan.name not in partitions])
    findings += [_exists(plan, partitions, hidden) for plan in plans]
    findings += _equal_counts(configuration, partitions)
    there = [plan for plan in plans if plan.name in partitions]
    try:
        settings = admin.topic_settings(plan.name for plan in there)
    except Failure as failure:
        return [
            *findings,
            Finding("failure", "topic settings", str(failure), "allow DescribeConfigs on the topics"),
        ]
    findings += topic_findings(configuration, there, settings)
    findings += rights_findings(configuration, admin, partitions)
    findings.append(kafka_clock_finding(admin, _timed(configuration, partitions, settings), now_ms))
    inputs = {partitions.get(name) for name in (configuration.topics.inference, configuration.topics.labels)}
    if len(inputs) == 1 and (each := inputs.pop()) is not None:
        findings += key_findings(configuration, each)
    return findings


def topic_findings(
    configuration: Configuration, plans: list[TopicPlan], settings: Mapping[str, Mapping[str, str]]
) -> list[Finding]:
    """Hold the settings of existing topics against what they must be."""
    topics = configuration.topics
    findings: list[Finding] = []
    for plan in plans:
        found = settings[plan.name]
        wrong = _policy(plan, found) + _copies(plan, found) + _cleaning(plan, found)
        if plan.name in (topics.inference, topics.labels):
            wrong += _retention(configuration, plan, found) + _record_time(plan, found)
        findings += wrong or [Finding("ok", f"topic {plan.name}", "settings are right")]
    return findings


def _hidden(admin: KafkaAdmin, missing: list[str]) -> set[str]:
    """Return those of the topics that no list names because this user may not know of them."""
    try:
        return {name for name, rights in admin.rights_on_topics(missing).items() if rights is not None}
    except Failure:
        return set()


def _timed(
    configuration: Configuration, partitions: Mapping[str, int], settings: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, int]]:
    """Return the partitions of input topics whose record times are the brokers'."""
    return [
        (name, partition)
        for name in (configuration.topics.inference, configuration.topics.labels)
        if settings.get(name, {}).get("message.timestamp.type") == "LogAppendTime"
        for partition in range(partitions[name])
    ]


def _exists(plan: TopicPlan, partitions: Mapping[str, int], hidden: Collection[str]) -> Finding:
    item = f"topic {plan.name}"
    if plan.name in hidden:
        text = f"this user may not know of it ({plan.purpose})"
        remedy = f"kafka-acls.sh --add --allow-principal User:NAME --topic {plan.name} --operation Describe"
        return Finding("failure", item, text, remedy)
    if plan.name in partitions:
        return Finding("ok", item, f"{partitions[plan.name]} partitions, {plan.purpose}")
    return Finding("failure", item, f"does not exist ({plan.purpose})", "create it: aftcast setup")


def _equal_counts(configuration: Configuration, partitions: Mapping[str, int]) -> list[Finding]:
    topics = configuration.topics
    pair = (topics.inference, topics.labels)
    if not all(name in partitions for name in pair):
        return []
    counts = [partitions[name] for name in pair]
    if counts[0] == counts[1]:
        wrong = [
            Finding(
                "failure",
                "partition counts",
                f"{own} has {partitions[own]}, fewer than {of} with {partitions[of]}: it keeps one for each",
                "give it the rest: aftcast setup",
            )
            for own, of in own_counts(configuration)
            if own in partitions and of in partitions and partitions[own] < partitions[of]
        ]
        same = Finding("ok", "partition counts", f"{pair[0]} and {pair[1]} have {counts[0]} each")
        return wrong or [same]
    few = pair[counts.index(min(counts))]
    return [
        Finding(
            "failure",
            "partition counts",
            f"{pair[0]} has {counts[0]}, {pair[1]} has {counts[1]}: a label would not meet its prediction",
            f"with the producers stopped: kafka-topics.sh --alter --topic {few} --partitions {max(counts)}",
        )
    ]


def own_counts(configuration: Configuration) -> tuple[tuple[str, str], ...]:
    """Return our topics that have a partition for each one of another topic, with that topic."""
    topics = configuration.topics
    return (topics.state, topics.inference), (topics.journal, topics.pane_updates)


def _set(plan: TopicPlan, setting: str, value: str) -> str:
    change = f"{setting}={value}"
    return f"kafka-configs.sh --alter --entity-type topics --entity-name {plan.name} --add-config {change}"


def _policy(plan: TopicPlan, found: Mapping[str, str]) -> list[Finding]:
    wanted, policy = plan.settings["cleanup.policy"], found.get("cleanup.policy", "")
    if policy == wanted:
        return []
    loss = (
        "compaction loses records" if wanted == "delete" else "without compaction a restore reads everything"
    )
    return [
        Finding(
            "failure",
            f"topic {plan.name}",
            f"cleanup.policy is {policy}, must be {wanted}: {loss}",
            _set(plan, "cleanup.policy", wanted),
        )
    ]


def _copies(plan: TopicPlan, found: Mapping[str, str]) -> list[Finding]:
    wrong: list[Finding] = []
    insync = plan.settings["min.insync.replicas"]
    if int(found.get("min.insync.replicas", insync)) < int(insync):
        text = f"min.insync.replicas is {found['min.insync.replicas']}: a write may have a single copy"
        wrong.append(
            Finding("warning", f"topic {plan.name}", text, _set(plan, "min.insync.replicas", insync))
        )
    if found.get("unclean.leader.election.enable") == "true":
        text = "unclean.leader.election.enable is true: records can vanish after they were read"
        wrong.append(
            Finding(
                "failure", f"topic {plan.name}", text, _set(plan, "unclean.leader.election.enable", "false")
            )
        )
    return wrong


def _cleaning(plan: TopicPlan, found: Mapping[str, str]) -> list[Finding]:
    if plan.settings["cleanup.policy"] != "compact":
        return []
    wrong = []
    for setting in ("segment.bytes", "min.cleanable.dirty.ratio"):
        wanted = plan.settings[setting]
        if float(found.get(setting, wanted)) > float(wanted):
            text = (
                f"{setting} is {found[setting]}, above {wanted}: a restore reads what was replaced long ago"
            )
            wrong.append(Finding("warning", f"topic {plan.name}", text, _set(plan, setting, wanted)))
    return wrong


def _retention(configuration: Configuration, plan: TopicPlan, found: Mapping[str, str]) -> list[Finding]:
    retention_ms = int(found.get("retention.ms", "-1"))
    horizon_ms = configuration.join.hot_horizon_ms
    if retention_ms < 0 or retention_ms >= horizon_ms + DAY_MS:
        return []
    short = retention_ms < horizon_ms
    text = f"retention is {duration_text(retention_ms)}, the hot horizon {duration_text(horizon_ms)}"
    rest = (
        ": a restart could not read again what waits" if short else ": an outage of a day would lose records"
    )
    remedy = _set(plan, "retention.ms", plan.settings["retention.ms"])
    return [Finding("failure" if short else "warning", f"topic {plan.name}", text + rest, remedy)]


def _record_time(plan: TopicPlan, found: Mapping[str, str]) -> list[Finding]:
    if found.get("message.timestamp.type") == "LogAppendTime":
        return []
    if 0 <= int(found.get("message.timestamp.after.max.ms", "-1")) <= ALLOWED_AHEAD_MS:
        return []
    text = "record times are the producers', without a limit: one wrong clock closes everyone's windows"
    remedy = (
        _set(plan, "message.timestamp.type", "LogAppendTime")
        + f" (or message.timestamp.after.max.ms={ALLOWED_AHEAD_MS})"
    )
    return [Finding("failure", f"topic {plan.name}", text, remedy)]
