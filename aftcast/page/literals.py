"""A statement as a person may paste it: the parameters that were bound, written out and quoted."""

import re
from collections.abc import Mapping
from datetime import datetime

PARAMETER = re.compile(r"\{(\w+):[^}]+\}")
Value = str | int | datetime


def bound(value: Value) -> str | int:
    """Return a value as the driver binds it."""
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else value


def pasted(statement: str, values: Mapping[str, Value]) -> str:
    r"""Return a statement with its parameters as literals, in one pass: no value is read as a parameter.

    Examples
    --------
    >>> print(pasted("SELECT {a:String}, {b:UInt32}", {"a": "it's {b:UInt32} \\", "b": 3}))
    SELECT 'it\'s {b:UInt32} \\', 3
    """
    return PARAMETER.sub(lambda found: literal(values[found[1]]), statement)


def literal(value: Value) -> str:
    if isinstance(value, datetime):
        return f"toDateTime('{bound(value)}', 'UTC')"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\0", "\\0")
    return f"'{escaped}'"
