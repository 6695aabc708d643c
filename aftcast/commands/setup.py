"""``aftcast setup``: topics and tables, created where they are missing, checked where they exist."""

from typing import Annotated

import typer

from aftcast.arguments import ConfigFile
from aftcast.failure import Failure
from aftcast.output import say


def setup(
    config: ConfigFile = None,
    partitions: Annotated[
        int | None, typer.Option(min=1, help="Of each topic that is created.  [default: [topics] partitions]")
    ] = None,
) -> None:
    """Create what is missing in Kafka and ClickHouse, and say what exists; a second run changes nothing."""
    from aftcast.findings import failures, show
    from aftcast.loading import load
    from aftcast.setting_up import set_up_clickhouse, set_up_topics

    configuration = load(config, options={"topics": {"partitions": partitions}})
    findings = []
    for part in (set_up_topics, set_up_clickhouse):
        found = part(configuration)
        show(found)
        findings += found
    if wrong := failures(findings):
        raise Failure(f"{wrong} items must be put right; `aftcast check` looks at everything")
    done = sum(finding.grade == "done" for finding in findings)
    say(f"{done} things created" if done else "everything was there already; nothing was changed")
