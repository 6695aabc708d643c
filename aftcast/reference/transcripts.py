"""Whether a program printed what a page shows: equal up to numbers, times and the width of columns."""

import re
from collections.abc import Sequence

from aftcast.reference.pages import Block

ANYTHING = "..."


def shown(block: Block) -> list[tuple[str, list[str]]]:
    """Return each command of a console block with the lines that it is said to print."""
    parts = re.split(r"^\$ (.+)\n", block.text, flags=re.MULTILINE)[1:]
    return [(parts[i], parts[i + 1].splitlines()) for i in range(0, len(parts), 2)]


def holds(printed: str, lines: Sequence[str]) -> bool:
    """Return whether the lines were printed in their order; between them a ``...`` stands for anything.

    Examples
    --------
    >>> printed = "10 of 20 done" + chr(10) + "more" + chr(10)
    >>> holds(printed, ["3 of 4 done", "..."]), holds(printed, ["3 of 4 done"])
    (True, False)
    """
    have = [shape(line) for line in printed.splitlines() if line.strip()]
    at, anything = 0, False
    for line in lines:
        if line == ANYTHING:
            anything = True
            continue
        if shape(line) not in have[at:]:
            return False
        found = have.index(shape(line), at)
        if found != at and not anything:
            return False
        at, anything = found + 1, False
    return anything or at == len(have)


def shape(line: str) -> str:
    """Return a line without what differs from run to run.

    Examples
    --------
    >>> shape("1. │ fraud │ 2026-03-02 10:45:00 │  0.75 │")
    '0 │ fraud │ 0-0-0 0:0:0 │ 0 │'
    """
    return re.sub(r"[\s─┬]+", " ", re.sub(r"\d[\d.,]*", "0", line)).strip()
