"""Which parts of aftcast this user may run, by the rights that Kafka says it has."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.findings import Finding
from aftcast.kafka_admin import KafkaAdmin
from aftcast.privileges import Part, Right, kafka_rights

Given = Mapping[tuple[str, str], frozenset[str] | None]  # operations by kind and name; None: not told


def rights_findings(
    configuration: Configuration, admin: KafkaAdmin, existing: Collection[str]
) -> list[Finding]:
    """Ask the brokers what this user may do; rights on transactional ids cannot be asked for.

    A part that may join its group, or write what it alone writes, is meant to run as this user: then a right
    that it lacks is a failure. In an installation with a user for each part, the others are those of others.
    """
    user = configuration.kafka.sasl_username or "this client"
    parts = _parts(configuration, existing)
    every = {(right.kind, right.name) for rights in parts.values() for right in rights}
    topics = sorted(name for kind, name in every if kind == "topic")
    groups = sorted(name for kind, name in every if kind == "group")
    try:
        on_topics, on_groups = admin.rights_on_topics(topics), admin.rights_on_groups(groups)
    except Failure as failure:
        text = f"cannot be told: {failure}"
        return [Finding("warning", "rights", text, "allow Describe on topics and groups")]
    given = {
        (kind, name): has
        for kind, told in (("topic", on_topics), ("group", on_groups))
        for name, has in told.items()
    }
    meant = [part for part in parts if _is_meant(configuration, part, given)]
    lacking = {
        part: [one for right in rights if (one := _lacking(right, given))] for part, rights in parts.items()
    }
    principal, address = f"User:{configuration.kafka.sasl_username or 'NAME'}", admin.address
    found = [
        Finding(
            "failure",
            f"rights on {right.kind} {right.name}",
            f"{user} may not {', '.join(right.operations)}, which {part} needs",
            right.command(principal, address),
        )
        for part in meant
        for right in lacking[part]
    ]
    if not meant:
        text = f"{user} may look, and run no part of a worker: those run as other users"
        return [Finding("ok", "rights", text)]
    found += [
        Finding(
            "warning",
            f"rights of {part}",
            f"{user} may not join its group, so it must run as another user",
            f"aftcast privileges --part {part} prints what that user needs",
        )
        for part in parts
        if part not in meant
    ]
    names = " and ".join(meant)
    return found or [Finding("ok", "rights", f"{user} may do what {names} need in Kafka")]


def _parts(configuration: Configuration, existing: Collection[str]) -> dict[Part, list[Right]]:
    """Return the rights on topics that there are, and on groups, of each part that is configured."""
    chosen: tuple[Part, ...] = ("streams", "raw", "forward") if configuration.forward else ("streams", "raw")
    rights = kafka_rights(configuration)
    return {
        part: [
            one
            for right in rights[part]
            for one in _singly(configuration, right)
            if right.kind == "group" or (right.kind == "topic" and right.name in existing)
        ]
        for part in chosen
    }


def _singly(configuration: Configuration, right: Right) -> list[Right]:
    if not right.prefixed:
        return [right]
    names = [f"{right.name}{target.name}" for target in configuration.forward]
    return [replace(right, name=name, prefixed=False) for name in names]


def _is_meant(configuration: Configuration, part: Part, given: Given) -> bool:
    group, written = configuration.kafka.group, configuration.topics.pane_updates
    groups = {
        "streams": [group],
        "raw": [f"{group}-raw"],
        "forward": [f"{group}-forward-{target.name}" for target in configuration.forward],
    }
    may_join = any(_has("READ", given.get(("group", name))) for name in groups[part])
    return may_join or (part == "streams" and _has("WRITE", given.get(("topic", written))))


def _has(operation: str, told: frozenset[str] | None) -> bool:
    """Return whether it is allowed; brokers without an authorizer allow everything and tell nothing."""
    return told is None or operation in told


def _lacking(right: Right, given: Given) -> Right | None:
    told = given.get((right.kind, right.name))
    missing = tuple(one for one in right.operations if not _has(one.upper(), told))
    return replace(right, operations=missing) if missing else None
