"""What can be wrong with ClickHouse and the schema registry for aftcast."""

import ssl
import urllib.error
import urllib.request
from base64 import b64encode

from aftcast.clock_checks import NowMs, machine_now_ms
from aftcast.configuration import Configuration
from aftcast.findings import Finding
from aftcast.store_condition_checks import condition_findings
from sinks.clickhouse.client import ANSWER_TIMEOUT_S, Client, Tls, connect
from sinks.clickhouse.errors import ClickHouseError
from sinks.clickhouse.migrate import applied_migrations, migrations
from sinks.clickhouse.views import outdated_views

LOOK_WITHIN_S = 10  # questions to system tables, which a healthy server answers at once


def open_clickhouse(configuration: Configuration, answer_within_s: int = ANSWER_TIMEOUT_S) -> Client:
    """Return a client without a database chosen, as one that may still have to be created needs it."""
    store = configuration.clickhouse
    password = store.password.get_secret_value() if store.password else ""
    tls = Tls(store.ca_file, store.certificate_file, store.certificate_key_file)
    return connect(store.url, store.user, password, answer_within_s=answer_within_s, tls=tls)


def clickhouse_findings(configuration: Configuration, now_ms: NowMs = machine_now_ms) -> list[Finding]:
    """Look whether ClickHouse answers, how it is, and whether the tables are this version's."""
    store = configuration.clickhouse
    try:
        client = open_clickhouse(configuration, LOOK_WITHIN_S)
    except ClickHouseError as error:
        remedy = "check [clickhouse] url, user and password, and that the server runs"
        return [Finding("failure", "clickhouse", str(error).removeprefix("clickhouse: "), remedy)]
    findings = [Finding("ok", "clickhouse", f"reachable at {client.address}")]
    try:
        findings += condition_findings(client, store.database, store.user, now_ms)
        findings.append(_database_finding(client, store.database))
    finally:
        client.close()
    return findings


def _database_finding(client: Client, database: str) -> Finding:
    item = f"database {database}"
    try:
        known = client.rows(
            "SELECT name FROM system.databases WHERE name = {name:String}", {"name": database}
        )
        if not known:
            return Finding("failure", item, "does not exist", "create it: aftcast setup")
        applied = applied_migrations(client, database)
        outdated = outdated_views(client, database)
    except ClickHouseError as error:
        return Finding("failure", item, str(error), "create the tables: aftcast setup")
    shipped = {number: name for number, name, _ in migrations()}
    missing = [name for number, name in shipped.items() if number not in applied]
    newer = [name for number, name in applied.items() if number not in shipped]
    if newer:
        text = f"has migration {newer[-1]}, which this version does not know"
        return Finding("failure", item, text, "upgrade aftcast")
    if missing:
        text = f"migrations are missing: {', '.join(missing)}"
        return Finding("failure", item, text, "apply them: aftcast setup")
    if outdated:
        text = f"views are not this version's: {', '.join(outdated)}"
        return Finding("failure", item, text, "create them anew: aftcast setup")
    return Finding("ok", item, f"{len(applied)} migrations, the newest is {applied[max(applied)]}")


def registry_findings(configuration: Configuration) -> list[Finding]:
    """Look whether the schema registry answers, where one is configured."""
    registry = configuration.schema_registry
    if not registry.url.startswith("http"):
        return []
    request = urllib.request.Request(f"{registry.url}/subjects")  # noqa: S310 - http(s) only, see above
    if registry.user:
        secret = registry.password.get_secret_value() if registry.password else ""
        request.add_header(
            "Authorization", "Basic " + b64encode(f"{registry.user}:{secret}".encode()).decode()
        )
    try:
        trusted = ssl.create_default_context(cafile=registry.ca_file or None)
        if registry.certificate_file:
            trusted.load_cert_chain(registry.certificate_file, registry.certificate_key_file or None)
        with urllib.request.urlopen(request, timeout=5, context=trusted):  # noqa: S310
            return [Finding("ok", "schema registry", f"reachable at {registry.url}")]
    except urllib.error.HTTPError as error:
        remedy = "check [schema_registry] url, user and password"
        return [Finding("failure", "schema registry", f"{registry.url} answers {error.code}", remedy)]
    except OSError as error:
        cause = getattr(error, "reason", error)
        return [
            Finding(
                "failure",
                "schema registry",
                f"not reachable at {registry.url} ({cause})",
                "check [schema_registry] url; until it answers, messages in Confluent's format wait",
            )
        ]
