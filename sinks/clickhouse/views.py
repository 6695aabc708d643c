"""Creates the views of this version: one file each, made anew whenever the database has another text."""

from hashlib import sha256
from importlib.resources import files
from string import Template

from sinks.clickhouse.client import Client


def views(database: str = "aftcast") -> dict[str, tuple[str, str]]:
    """Return each view's SELECT and its mark, by name; every file of ``views/`` is one view.

    Examples
    --------
    >>> sorted(views())[0], views()["model_quality"][1][:8]
    ('class_quality', 'aftcast ')
    """
    shipped = {}
    for file in files("sinks.clickhouse").joinpath("views").iterdir():
        if file.name.endswith(".sql"):
            text = file.read_text("utf-8")
            # The mark is the view's comment in the database: it goes and comes with the view itself.
            mark = f"aftcast {sha256(text.encode()).hexdigest()[:16]}"
            select = Template(text).substitute(database=database)
            shipped[file.name.removesuffix(".sql")] = (select, mark)
    return dict(sorted(shipped.items()))


def outdated_views(client: Client, database: str = "aftcast") -> list[str]:
    """Return the names of views that are missing, or made by another version than this one."""
    rows = client.rows(
        "SELECT name, comment FROM system.tables WHERE database = {database:String} AND engine = 'View'",
        {"database": database},
    )
    there = {row["name"]: row["comment"] for row in rows}
    return [name for name, (_, mark) in views(database).items() if there.get(name) != mark]


def create_views(client: Client, database: str = "aftcast") -> list[str]:
    """Create the views that are not this version's, and return one line for what was done.

    A parameterised view is read only when it is queried, so the order does not matter.
    """
    outdated = outdated_views(client, database)
    shipped = views(database)
    for name in outdated:
        text, mark = shipped[name]
        client.command(f"CREATE OR REPLACE VIEW {database}.{name} COMMENT '{mark}' AS\n{text}")
    if not outdated:
        return [f"clickhouse: {len(shipped)} views are there"]
    return [f"clickhouse: view {name} created" for name in outdated]
