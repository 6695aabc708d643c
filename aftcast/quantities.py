"""Durations and sizes as people write them: "24h", "1h30m", "500ms", "1GB", and back again."""

import re

DURATION_UNITS_MS = {
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
SIZE_UNITS_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[wdhms])", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s?([kKMGT]i?B|B)", re.ASCII)
_LONGEST_MS = 100 * 365 * DURATION_UNITS_MS["d"]  # beyond this a time stamp plus a duration overflows


def duration_ms(text: object) -> int:
    """Return a duration in milliseconds.

    Raises
    ------
    ValueError
        If ``text`` is no duration above 0, is no whole number of milliseconds or is over 100 years.

    Examples
    --------
    >>> duration_ms("24h"), duration_ms("1h30m"), duration_ms("0.5s")
    (86400000, 5400000, 500)
    """
    total = 0.0
    if isinstance(text, str):
        parts = _DURATION_PART.findall(text)
        if "".join(number + unit for number, unit in parts) == text.strip():
            total = sum(float(number) * DURATION_UNITS_MS[unit] for number, unit in parts)
    if not 0 < total <= _LONGEST_MS or total != int(total):
        raise ValueError('must be a duration above 0, such as "24h"')
    return int(total)


def duration_text(span_ms: int) -> str:
    """Return a duration in the largest units that hold it exactly; the inverse of ``duration_ms``.

    Examples
    --------
    >>> duration_text(86_400_000), duration_text(5_400_000), duration_text(500)
    ('24h', '1h30m', '500ms')
    """
    units = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)]
    text = ""
    for unit, unit_ms in units:
        count, span_ms = divmod(span_ms, unit_ms)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def size_bytes(text: object) -> int:
    """Return a size in bytes.

    Raises
    ------
    ValueError
        If ``text`` is no size of at least one byte.

    Examples
    --------
    >>> size_bytes("1GB"), size_bytes("1.5KiB")
    (1000000000, 1536)
    """
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is not None:
        unit = match[2].replace("K", "k") if match[2] == "KB" else match[2].replace("ki", "Ki")
        size = int(float(match[1]) * SIZE_UNITS_BYTES[unit])
        if size >= 1:
            return size
    raise ValueError('must be a size above 0, such as "1GB" or "512MiB"')


def size_text(size: int) -> str:
    """Return a size in the largest decimal unit that holds it exactly; the inverse of ``size_bytes``.

    Examples
    --------
    >>> size_text(1_000_000_000), size_text(1536)
    ('1GB', '1536B')
    """
    for unit in ("TB", "GB", "MB", "kB"):
        if size % SIZE_UNITS_BYTES[unit] == 0:
            return f"{size // SIZE_UNITS_BYTES[unit]}{unit}"
    return f"{size}B"
