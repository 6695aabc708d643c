"""``aftcast sql``: one statement to ClickHouse, the answer as a table."""

import re
from typing import Annotated

import typer

from aftcast.arguments import ConfigFile
from aftcast.failure import Failure
from aftcast.output import say

# These give rows; a FORMAT behind anything else would be an error.
_ASKS = re.compile(r"\s*\(?\s*(SELECT|WITH|SHOW|DESC|DESCRIBE|EXISTS|EXPLAIN|CHECK)\b", re.IGNORECASE)


def sql(
    statement: Annotated[
        str, typer.Argument(help='Such as "SELECT * FROM model_quality(window_seconds = 3600)".')
    ],
    url: Annotated[
        str | None, typer.Option(help="ClickHouse's address.  [default: that of the configuration]")
    ] = None,
    layout: Annotated[
        str, typer.Option("--format", help="Any output format of ClickHouse, such as JSONEachRow or CSV.")
    ] = "PrettyCompactNoEscapesMonoBlock",
    config: ConfigFile = None,
) -> None:
    """Run a statement on the configured ClickHouse, or on a running demo, and print what it answers."""
    from aftcast.loading import load
    from sinks.clickhouse.client import connect
    from sinks.clickhouse.errors import ClickHouseError, UnreachableError

    store = load(config, options={"clickhouse": {"url": url}}).clickhouse
    password = store.password.get_secret_value() if store.password else ""
    statement = statement.strip().rstrip(";")
    try:
        client = connect(store.url, store.user, password, store.database)
        try:
            if _ASKS.match(statement):
                if text := client.text(statement, layout).rstrip("\n"):
                    say(text)
            else:
                client.command(statement)
                say("done")
        finally:
            client.close()
    except UnreachableError as error:
        raise Failure(f"{error}; start `aftcast demo`, or give --url") from None
    except ClickHouseError as error:
        raise Failure(str(error)) from None
