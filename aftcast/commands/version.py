"""``aftcast version``: what is installed, for reports of faults."""

import json
import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from aftcast.output import say

PARTS = (
    "aftcast",
    "confluent-kafka",
    "faust-streaming",
    "clickhouse-connect",
    "chdb",
    "numpy",
    "pyarrow",
    "river",
)


def version(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Print the versions of aftcast and of what it stands on."""
    versions = {"python": platform.python_version()}
    for part in PARTS:
        try:
            versions[part] = version_of(part)
        except PackageNotFoundError:
            versions[part] = "not installed"
    if as_json:
        say(json.dumps(versions))
        return
    say(f"aftcast {versions.pop('aftcast')}")
    for part, number in versions.items():
        say(f"  {part} {number}")
