"""Flat tables as events: columns ``feature.NAME``, ``score.CLASS`` and ``segment.NAME`` become maps."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from aftcast.failure import Failure
from schemas.records import DeadLetter

MAPS = {"feature": "features", "score": "scores", "segment": "segments"}
# Of a CSV these are numbers wherever they are given; all else is text unless the whole column is numbers.
NUMBERS = (
    "latency_ms",
    "cost",
    "sampling_probability",
    "value",
    "prediction_lower",
    "prediction_upper",
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def nested(record: dict[str, Any]) -> dict[str, Any]:
    """Return a flat record with its ``feature.``, ``score.`` and ``segment.`` columns as maps.

    Examples
    --------
    >>> nested({"model": "m", "score.yes": 0.2, "segment.country": "DE"})
    {'model': 'm', 'scores': {'yes': 0.2}, 'segments': {'country': 'DE'}}
    """
    out: dict[str, Any] = {}
    for name, value in record.items():
        prefix, dot, rest = name.partition(".")
        if dot and prefix in MAPS:
            if value is not None or prefix == "feature":
                out.setdefault(MAPS[prefix], {})[rest] = value
        else:
            out[name] = value
    return out


def csv_records(path: Path, opened: Callable[[Path], IO[bytes]]) -> Iterator[dict[str, Any] | DeadLetter]:
    """Read a CSV file with a header line; empty cells are null, "NA" is text.

    ``prediction``, ``label`` and each feature are numbers when every value of the column is one (and, for
    ``prediction`` and ``label``, there is no ``score.*`` column); ids, versions and segments are text.
    """
    with (
        opened(path) as file,
        io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        header, rows = _rows(path, text)
    types = _column_types(header, rows)
    for number, row in enumerate(rows, 1):
        if isinstance(row, str) or len(row) != len(header):
            broken = row if isinstance(row, str) else f"expected {len(header)} cells, got {len(row)}"
            yield DeadLetter(
                topic=str(path),
                partition=0,
                offset=number,
                reason=f"{'broken_utf8' if isinstance(row, str) else 'wrong_type'}: {broken}",
                field="",
                value="" if isinstance(row, str) else ",".join(row)[:200],
                received_at_ms=-1,
            )
            continue
        cells = zip(header, row, types, strict=True)
        yield nested({name: None if cell == "" else kind(cell) for name, cell, kind in cells})


def _rows(path: Path, text: IO[str]) -> tuple[list[str], list[list[str] | str]]:
    """Read a whole table: its header, and each row as cells, or as what is wrong with its text."""
    reader = csv.reader(text)
    header = next(reader, None)
    if header is None:
        raise Failure(f"{path}: an empty file; expected a header line")
    if len(set(header)) != len(header):
        raise Failure(f"{path}:1: a column is named twice: {', '.join(header)}")
    rows: list[list[str] | str] = []
    for row in reader:
        if row:  # a blank line is no record
            joined = "".join(row)
            broken = not joined.isascii() and any("\ud800" <= c <= "\udfff" for c in joined)
            rows.append("text that is not valid UTF-8" if broken else row)
    return header, rows


def _column_types(header: list[str], rows: list[list[str] | str]) -> list[Callable[[str], Any]]:
    scored = any(name.startswith("score.") for name in header)
    by_value = [
        name.startswith("feature.") or (name in ("prediction", "label") and not scored) for name in header
    ]
    integers, numbers = list(by_value), list(by_value)
    for row in rows:
        if isinstance(row, str) or len(row) != len(header):
            continue
        for i, cell in enumerate(row):
            if numbers[i] and cell:
                integers[i] = integers[i] and _INTEGER.fullmatch(cell) is not None
                numbers[i] = integers[i] or _NUMBER.fullmatch(cell) is not None
    return [_kind(name, integer=integers[i], number=numbers[i]) for i, name in enumerate(header)]


def _kind(name: str, *, integer: bool, number: bool) -> Callable[[str], Any]:
    if name == "timestamp":
        return lambda cell: int(cell) if _INTEGER.fullmatch(cell) else cell
    if name in NUMBERS or name.startswith("score."):
        return lambda cell: float(cell) if _is_float(cell) else cell
    if integer:
        return int
    return float if number else str


def _is_float(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
