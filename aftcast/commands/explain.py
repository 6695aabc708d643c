"""``aftcast explain``: the evidence of one alert, as a person wants to read it."""

from typing import Annotated

import typer

from aftcast.arguments import AsJson, ConfigFile
from aftcast.failure import Failure
from aftcast.output import say


def explain(
    fingerprint: Annotated[
        str, typer.Argument(help="The alert's fingerprint, or as much of its beginning as is unique.")
    ],
    url: Annotated[
        str | None, typer.Option(help="ClickHouse's address.  [default: that of the configuration]")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the evidence of an alert: what changed, since when, how much, where, and the SQL to go on."""
    import orjson

    from aftcast.commands.explain_reading import read
    from aftcast.commands.explain_words import document, lines
    from aftcast.loading import load
    from sinks.clickhouse.client import connect
    from sinks.clickhouse.errors import ClickHouseError, UnreachableError

    store = load(config, options={"clickhouse": {"url": url}}).clickhouse
    password = store.password.get_secret_value() if store.password else ""
    try:
        client = connect(store.url, store.user, password, store.database)
        try:
            found = read(client, store.database, fingerprint)
        finally:
            client.close()
    except UnreachableError as error:
        raise Failure(f"{error}; start `aftcast demo`, or give --url") from None
    except ClickHouseError as error:
        raise Failure(str(error)) from None
    if as_json:
        say(orjson.dumps(document(found), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
        return
    for line in lines(found, None):
        say(line)
