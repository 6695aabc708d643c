"""What Grafana and its ClickHouse plugin make of a statement before the server sees it."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

FORMATTED = re.compile(r"\$\{(\w+):percentencode\}")
TIME_FILTER = re.compile(r"\$__timeFilter\((\w+(?:\.\w+)?)\)")


def percent_encoded(text: str) -> str:
    """Return what encodeURIComponent gives, with ``!'()*`` encoded too."""
    return quote(text, safe="-_.~")


def sent(statement: str, variables: Mapping[str, str], from_s: int, to_s: int) -> str:
    """Return the statement with variables and macros replaced; whatever is left of either is an error."""
    filled = FORMATTED.sub(lambda found: percent_encoded(variables[found[1]]), statement)
    filled = TIME_FILTER.sub(
        lambda found: f"{found[1]} >= toDateTime({from_s}) AND {found[1]} <= toDateTime({to_s})", filled
    )
    filled = filled.replace("$__toTime", f"toDateTime({to_s})").replace(
        "$__fromTime", f"toDateTime({from_s})"
    )
    assert "$" not in filled, filled
    return filled


def panels_of(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the panels of a dashboard, those in closed rows too."""
    return [
        panel
        for outer in board["panels"]
        for panel in (outer["panels"] if outer["type"] == "row" else [outer])
    ]
