"""``aftcast privileges``: the rights that each part needs in Kafka and ClickHouse, as commands."""

import json
from typing import Annotated

import typer

from aftcast.arguments import AsJson, ConfigFile
from aftcast.failure import Failure
from aftcast.output import say


def privileges(
    part: Annotated[
        list[str], typer.Option(help="Only this part, such as streams; repeatable.  [default: all]")
    ] = [],  # noqa: B006
    user_prefix: Annotated[
        str, typer.Option(help="Begins the name of each part's user: aftcast-streams, aftcast-raw.")
    ] = "aftcast-",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the commands that give each part of aftcast the rights it needs, and no others.

    Topics, groups and database are those of the configuration. Nothing is connected to.
    """
    from aftcast.loading import load
    from aftcast.privileges import PARTS, clickhouse_rights, kafka_rights, statements

    if unknown := [name for name in part if name not in PARTS]:
        raise Failure(f'--part must be one of {", ".join(PARTS)}; got "{unknown[0]}"')
    configuration = load(config)
    chosen = [name for name in PARTS if not part or name in part]
    if as_json:
        on_kafka, granted = kafka_rights(configuration), clickhouse_rights(configuration.clickhouse.database)
        document = {
            name: {
                "kafka": [
                    {"kind": r.kind, "name": r.name, "prefixed": r.prefixed, "operations": r.operations}
                    for r in on_kafka[name]
                ],
                "clickhouse": granted.get(name, ()),
            }
            for name in chosen
        }
        say(json.dumps(document, indent=2))
        return
    for name in chosen:
        say(f"# {PARTS[name]}")
        for statement in statements(configuration, name, user_prefix):
            say(statement)
