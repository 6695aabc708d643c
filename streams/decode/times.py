"""Event times: how they may be written, and which of them are believed."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from streams.decode.reasons import RejectedError

MAX_AHEAD_MS = 5 * 60_000
EARLIEST_MS = 946_684_800_000  # 2000-01-01T00:00:00Z; today's time in seconds reads as January 1970
LATEST_MS = 4_102_444_800_000  # 2100-01-01T00:00:00Z, for records without a Kafka time
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_FIELD = "timestamp"


def _rejected(code: str, detail: str) -> RejectedError:
    return RejectedError(code, _FIELD, f"$.{_FIELD}: {detail}")


def read_time(path: str, value: Any) -> int:
    """Return milliseconds since 1970 of an integer, an RFC 3339 text or an aware ``datetime``.

    Examples
    --------
    >>> read_time("timestamp", "2026-01-01T01:00:00.250+01:00")
    1767225600250
    """
    if type(value) is int:
        if not -(2**63) <= value < 2**63:
            raise RejectedError(
                "integer_out_of_range", path, f"$.{path}: {str(value)[:40]} needs over 64 bits"
            )
        return value
    if type(value) is str:
        return _parse(value)
    if type(value) is float and not value.is_integer():
        raise _rejected("timestamp_fractional", f"expected whole milliseconds, got {value}")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise _rejected("timestamp_without_zone", f"expected a time with zone, got {value.isoformat()}")
        return _whole_ms(value, 0)
    came = "null" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
    raise RejectedError(
        "wrong_type", path, f"$.{path}: expected integer milliseconds or RFC 3339, got {came}"
    )


def _parse(value: str) -> int:
    shown = repr(value[:40])
    if value.strip().lstrip("+-").replace(".", "", 1).isdigit():
        raise _rejected("timestamp_as_text", f"expected an integer, got the string {shown}")
    if (match := _RFC_3339.fullmatch(value)) is None:
        raise _rejected("timestamp_unreadable", f"expected integer milliseconds or RFC 3339, got {shown}")
    date, clock, fraction, zone = match.groups()
    if zone is None:
        raise _rejected("timestamp_without_zone", f"expected Z or an offset such as +01:00, got {shown}")
    fraction = (fraction or "").rstrip("0")
    if len(fraction) > 3:
        raise _rejected("timestamp_fractional", f"expected at most milliseconds, got {shown}")
    try:
        seconds = datetime.fromisoformat(f"{date}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError as error:
        raise _rejected("timestamp_unreadable", f"{error}, got {shown}") from None
    return _whole_ms(seconds, int(fraction.ljust(3, "0")) if fraction else 0)


def _whole_ms(moment: datetime, add_ms: int) -> int:
    whole, rest = divmod(moment - _EPOCH, timedelta(milliseconds=1))
    if rest:
        raise _rejected("timestamp_fractional", f"expected at most milliseconds, got {moment.isoformat()}")
    return whole + add_ms


def latest_ms(record_time_ms: int, max_ahead_ms: int) -> int:
    """Return the last event time that is believed of a record; a negative record time means there is none."""
    return LATEST_MS if record_time_ms < 0 else min(record_time_ms + max_ahead_ms, LATEST_MS)


def check_time(time_ms: int, latest: int) -> None:
    if time_ms < EARLIEST_MS:
        raise _rejected(
            "timestamp_before_2000",
            f"{time_ms} is before 2000; seconds were probably meant, not milliseconds",
        )
    if time_ms > latest:
        guess = "; these look like "
        if time_ms >= 10**17:  # today's time in nanoseconds is 1.8e18, in microseconds 1.8e15
            guess += "nanoseconds"
        elif time_ms >= 10**14:
            guess += "microseconds"
        else:
            guess = ""
        raise _rejected("timestamp_in_future", f"{time_ms} is after {latest}, the last time believed{guess}")
