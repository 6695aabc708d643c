"""Which rights this user has on topics and groups of Kafka, against those that aftcast's parts need."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.findings import Finding
from aftcast.kafka_admin import KafkaAdmin
from aftcast.privileges import Part, kafka_rights

WORKING: tuple[Part, ...] = ("streams", "raw", "forward")


def needed_on_topics(configuration: Configuration) -> dict[str, frozenset[str]]:
    """Return the operations on each topic that a worker of both roles and the forwarder need."""
    found: dict[str, frozenset[str]] = defaultdict(frozenset)
    rights = kafka_rights(configuration)
    for right in (right for part in WORKING for right in rights[part] if right.kind == "topic"):
        # Who may read or write may describe.
        found[right.name] |= {"DESCRIBE", *(operation.upper() for operation in right.operations)}
    return dict(found)


def groups_of(configuration: Configuration) -> list[str]:
    """Return the consumer groups of both roles and of each forwarding target."""
    group = configuration.kafka.group
    return [group, f"{group}-raw", *(f"{group}-forward-{target.name}" for target in configuration.forward)]


def rights_findings(
    configuration: Configuration, admin: KafkaAdmin, existing: Collection[str]
) -> list[Finding]:
    """Ask the brokers what this user may do; rights on transactional ids cannot be asked for."""
    user = configuration.kafka.sasl_username or "this client"
    principal = f"User:{configuration.kafka.sasl_username or 'NAME'}"
    needed = {name: ops for name, ops in needed_on_topics(configuration).items() if name in existing}
    groups = dict.fromkeys(groups_of(configuration), frozenset({"READ"}))
    found = []
    try:
        on_topics = admin.rights_on_topics(needed)
        on_groups = admin.rights_on_groups(groups)
    except Failure as failure:
        text = f"cannot be told: {failure}"
        return [Finding("warning", "rights", text, "allow Describe on topics and groups")]
    for kind, wanted, given in (("topic", needed, on_topics), ("group", groups, on_groups)):
        for name, missing in _missing(wanted, given).items():
            operations = ", ".join(word.title() for word in missing)
            text = f"{user} may not {operations}"
            remedy = f"kafka-acls.sh --add --allow-principal {principal} --{kind} {name} " + " ".join(
                f"--operation {word.title()}" for word in missing
            )
            found.append(Finding("failure", f"rights on {kind} {name}", text, remedy))
    if found:
        return found
    text = f"{user} may do what a worker needs on {len(needed)} topics and {len(groups)} groups"
    return [Finding("ok", "rights", text)]


def _missing(
    wanted: Mapping[str, frozenset[str]], given: Mapping[str, frozenset[str] | None]
) -> dict[str, list[str]]:
    """Return what is lacking by name; None is given where the brokers do not tell, without an authorizer."""
    lacking = {name: sorted(ops - (given.get(name) or frozenset())) for name, ops in wanted.items()}
    return {name: ops for name, ops in lacking.items() if ops and given.get(name) is not None}
