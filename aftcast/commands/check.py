"""``aftcast check``: what is wrong with a set-up, item by item, with the remedy."""

import json
import time

import typer

from aftcast.arguments import AsJson, ConfigFile
from aftcast.failure import Failure
from aftcast.output import say


def check(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Look at configuration, Kafka, its topics, and ClickHouse; exit code 1 if anything is wrong."""
    from aftcast.findings import Finding, documents, failures, show
    from aftcast.kafka_checks import kafka_findings
    from aftcast.loading import ConfigurationError, load
    from aftcast.state_looking import state_findings
    from aftcast.store_checks import clickhouse_findings, registry_findings

    findings: list[Finding] = []
    try:
        configuration = load(config)
    except ConfigurationError as error:
        findings = [Finding("failure", "configuration", line) for line in str(error).splitlines()]
    else:
        findings.append(Finding("ok", "configuration", "every key is known and right"))
        findings += kafka_findings(configuration)
        if not failures(findings):
            findings += state_findings(configuration, int(time.time() * 1000))
        findings += registry_findings(configuration)
        findings += clickhouse_findings(configuration)
    wrong = failures(findings)
    if as_json:
        say(json.dumps({"ok": not wrong, "failures": wrong, "findings": documents(findings)}, indent=2))
        raise typer.Exit(1 if wrong else 0)
    show(findings)
    if wrong:
        raise Failure(f"{wrong} of {len(findings)} items must be put right")
    say("all is well")
