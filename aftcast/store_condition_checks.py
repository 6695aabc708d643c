"""How ClickHouse itself is: its version, what this user may do there, and the room on its disks."""

from collections.abc import Callable

from aftcast.clock_checks import NowMs, store_clock_finding
from aftcast.findings import Finding
from sinks.clickhouse.client import Client
from sinks.clickhouse.errors import ClickHouseError

OLDEST = (26, 3)  # the long-term release of the compose file
WRITER = ("SELECT", "INSERT")  # what the raw role and its cold join do
BUILDER = ("CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "DROP VIEW", "ALTER TABLE")  # what setup does
LOW_SHARE = 0.2  # merges need room for what they merge: half of a table at worst
EMPTY_SHARE = 0.05


def condition_findings(client: Client, database: str, user: str, now_ms: NowMs) -> list[Finding]:
    """Look at version, rights, disks and clock; what cannot be told is a warning of its own."""
    looks: dict[str, Callable[[], list[Finding]]] = {
        "grants": lambda: grant_findings(client, database, user),
        "disk of clickhouse": lambda: disk_findings(client),
        "clock of clickhouse": lambda: [store_clock_finding(client, now_ms)],
    }
    found = [version_finding(client.version)]
    for item, look in looks.items():
        try:
            found += look()
        except ClickHouseError as error:
            text = f"cannot be told: {error}"
            found.append(Finding("warning", item, text, "allow what the error names, or look by hand"))
    return found


def version_finding(version: str) -> Finding:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers >= OLDEST:
        return Finding("ok", "version of clickhouse", version)
    oldest = ".".join(map(str, OLDEST))
    text = f"{version} is older than {oldest}, and nobody has tried it"
    return Finding("warning", "version of clickhouse", text, f"upgrade to {oldest} or newer")


def grant_findings(client: Client, database: str, user: str) -> list[Finding]:
    """Ask for each right by itself; who may read and nothing else is one of several users."""
    lacking = [right for right in (*WRITER, *BUILDER) if not client.granted(right, f"{database}.*")]
    if not lacking:
        return [Finding("ok", "grants", f"{user} may read, write and set up {database}.*")]
    if lacking == [right for right in (*WRITER, *BUILDER) if right != "SELECT"]:
        text = f"{user} may read {database}.* and nothing else: the raw role and setup must run as others"
        return [Finding("warning", "grants", text, "aftcast privileges prints what those need")]
    found = []
    if missing := ", ".join(right for right in WRITER if right in lacking):
        text = f"{user} may not {missing} on {database}.*: rows cannot be written or joined"
        remedy = f"GRANT {missing} ON {database}.* TO {user}"
        found.append(Finding("failure", "grants", text, remedy))
    if missing := ", ".join(right for right in BUILDER if right in lacking):
        text = f"{user} may not {missing} on {database}.*, which aftcast setup does"
        remedy = f"run aftcast setup as another user, or: GRANT {missing} ON {database}.* TO {user}"
        found.append(Finding("warning", "grants", text, remedy))
    return found


def disk_findings(client: Client) -> list[Finding]:
    disks = client.rows(
        "SELECT name, unreserved_space AS free, total_space AS total FROM system.disks "
        "WHERE type = 'Local' AND total_space > 0 ORDER BY name"
    )
    return [disk_finding(disk["name"], disk["free"], disk["total"]) for disk in disks]


def disk_finding(name: str, free_bytes: int, total_bytes: int) -> Finding:
    """Judge the free share of a disk.

    Examples
    --------
    >>> disk_finding("default", 19_000_000_000, 100_000_000_000).text
    '19 % of 100 GB are free: merges need room'
    """
    item, share = f"disk {name} of clickhouse", free_bytes / total_bytes
    text = f"{share:.0%} of {total_bytes / 1e9:.0f} GB are free".replace("%", " %")
    remedy = "give it room, or keep raw rows for a shorter time (docs/clickhouse.md)"
    if share < EMPTY_SHARE:
        return Finding("failure", item, f"{text}: writes will be refused soon", remedy)
    if share < LOW_SHARE:
        return Finding("warning", item, f"{text}: merges need room", remedy)
    return Finding("ok", item, text)
