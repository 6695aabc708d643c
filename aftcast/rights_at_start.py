"""Whether a part has its rights in Kafka before it begins: without one it would fail later or wait."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.kafka_admin import KafkaAdmin
from aftcast.kafka_entry import check_entry
from aftcast.privileges import Kind, Part, Right, kafka_rights

Wanted = dict[str, frozenset[str]]  # operations by the name of a topic or group


def check_start(configuration: Configuration, parts: Collection[Part]) -> None:
    """Return if brokers let us in and allow what these parts do, or where no broker answers yet.

    Rights on transactional ids cannot be asked for; the first claim of one names it. Brokers that have no
    authorizer allow everything and say nothing.

    Raises
    ------
    Failure
        With one line for each right that is missing, and the command that gives it.
    """
    options = configuration.kafka.client_options()
    if not check_entry(options):
        return
    admin = KafkaAdmin(options)
    topics, groups = _wanted(configuration, parts, "topic"), _wanted(configuration, parts, "group")
    try:
        given = (
            ("topic", topics, admin.rights_on_topics(topics)),
            ("group", groups, admin.rights_on_groups(groups) if groups else {}),
        )
    except Failure:
        return  # they do not tell; whoever lacks a right hears of it when it is used
    lines = [line for kind, wanted, has in given for line in _lacking(configuration, kind, wanted, has)]
    if lines:
        raise Failure("\n".join(lines))


def _wanted(configuration: Configuration, parts: Collection[Part], kind: Kind) -> Wanted:
    found: dict[str, frozenset[str]] = defaultdict(frozenset)
    rights = kafka_rights(configuration)
    for right in (right for part in parts for right in rights[part] if right.kind == kind):
        for name in _names(configuration, right):
            found[name] |= frozenset(right.operations)
    return dict(found)


def _names(configuration: Configuration, right: Right) -> list[str]:
    if not right.prefixed:
        return [right.name]
    return [f"{right.name}{target.name}" for target in configuration.forward]


def _lacking(
    configuration: Configuration, kind: str, wanted: Wanted, given: Mapping[str, frozenset[str] | None]
) -> Iterator[str]:
    kafka = configuration.kafka
    user = kafka.sasl_username
    for name, operations in wanted.items():
        has = given.get(name)
        missing = [one for one in sorted(operations) if has is not None and one.upper() not in has]
        if missing:
            right = Right("topic" if kind == "topic" else "group", name, tuple(missing))
            remedy = right.command(f"User:{user or 'NAME'}", kafka.bootstrap_servers)
            yield f"Kafka: {user or 'this client'} may not {', '.join(missing)} on {kind} {name}; {remedy}"
