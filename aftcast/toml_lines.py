"""Which line of a TOML text each key stands on, since ``tomllib`` does not tell."""

import re
import tomllib
from typing import Any

Path = tuple[str | int, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_TABLE = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]\]?")
_ASSIGNMENT = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")


def _names(dotted: str) -> list[str]:
    """Return the names of a dotted key, read by ``tomllib`` so that quoting is its affair."""
    names: list[str] = []
    value: Any = tomllib.loads(f"{dotted} = 0")
    while isinstance(value, dict):
        ((name, value),) = value.items()
        names.append(name)
    return names


def _complete(statement: str) -> bool:
    try:
        tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return False
    return True


def key_lines(text: str) -> dict[Path, int]:
    r"""Return the 1-based line of every table and key of a valid TOML text, by its path.

    Keys inside inline tables are not told apart from the key that holds them.

    Examples
    --------
    >>> key_lines('[join]\nhot_horizon = "24h"\n[[rules]]\nname = "a"\n')
    {('join',): 1, ('join', 'hot_horizon'): 2, ('rules', 0): 3, ('rules', 0, 'name'): 4}
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    open_statement = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if open_statement:
            # A string or an array runs on over several lines: what looks like a key in it is none.
            open_statement += "\n" + line
            open_statement = "" if _complete(open_statement) else open_statement
        elif match := _TABLE.match(line):
            table = tuple(_names(match[2]))
            if match[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            elif table[:-1] in counts:
                table = (*table[:-1], counts[table[:-1]], table[-1])
            lines.setdefault(table, number)
        elif match := _ASSIGNMENT.match(line):
            path = table
            for name in _names(match[1]):
                path = (*path, name)
                lines.setdefault(path, number)
            open_statement = "" if _complete(line) else line
    return lines
