"""``aftcast check``: what is wrong with a set-up, item by item, with the remedy."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aftcast.arguments import AsJson, ConfigFile
from aftcast.failure import Failure
from aftcast.output import say

if TYPE_CHECKING:
    from aftcast.findings import Finding


def check(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Look at configuration, Kafka, ClickHouse and where alerts go; exit code 1 if anything is wrong."""
    from aftcast.findings import documents, failures, show

    findings = []
    for part in _parts(config):
        findings += part
        if not as_json:
            # At once: what does not answer takes seconds to be given up.
            show(part)
    wrong = failures(findings)
    if as_json:
        say(json.dumps({"ok": not wrong, "failures": wrong, "findings": documents(findings)}, indent=2))
        raise typer.Exit(1 if wrong else 0)
    if wrong:
        raise Failure(f"{wrong} of {len(findings)} items must be put right")
    say("all is well")


def _parts(config: Path | None) -> "Iterator[list[Finding]]":
    from aftcast.findings import Finding, failures
    from aftcast.loading import ConfigurationError, load

    try:
        configuration = load(config)
    except ConfigurationError as error:
        remedy = "docs/configuration.md lists every key"
        yield [Finding("failure", "configuration", line, remedy) for line in str(error).splitlines()]
        return
    # Only now: they take seconds to load.
    from aftcast.forward_checks import forward_findings
    from aftcast.kafka_checks import kafka_findings
    from aftcast.secret_files import exposed_files
    from aftcast.state_looking import state_findings
    from aftcast.store_checks import clickhouse_findings, registry_findings

    exposed = [
        Finding("warning", f"secret {file}", "every user of this machine may read it", f"chmod 600 {file}")
        for file in exposed_files(configuration)
    ]
    yield [Finding("ok", "configuration", "every key is known and right"), *exposed]
    kafka = kafka_findings(configuration)
    yield kafka
    if not failures(kafka):
        yield state_findings(configuration, int(time.time() * 1000))
    yield registry_findings(configuration)
    yield clickhouse_findings(configuration)
    yield forward_findings(configuration)
