"""How far back the page looks, in windows of which width: a closed list, so that no request is dear."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Span:
    """A choice of the page: so much time, in windows of this width (a multiple of every usual pane)."""

    name: str
    seconds: int
    window_s: int


# Each gives between 56 and 168 windows: enough for a curve, few enough to tell points apart on a phone.
SPANS = {
    span.name: span
    for span in (
        Span("1h", 3_600, 60),
        Span("6h", 21_600, 300),
        Span("12h", 43_200, 600),
        Span("24h", 86_400, 900),
        Span("7d", 604_800, 3_600),
        Span("30d", 2_592_000, 21_600),
        Span("90d", 7_776_000, 86_400),
    )
}
DEFAULT_SPAN = "24h"


@dataclass(frozen=True, slots=True)
class Interval:
    """What one look covers, ``[start, end)`` in UTC, in windows of ``window_s`` seconds."""

    start: datetime
    end: datetime
    window_s: int


def interval_of(span: Span, newest: datetime, pane_s: int) -> Interval:
    """Return what a look covers that ends with the window of the newest pane.

    Windows are a multiple of the pane, since figures are merges of whole panes.

    Examples
    --------
    >>> found = interval_of(SPANS["1h"], datetime(2026, 1, 1, 12, 0), 60)
    >>> found.start.isoformat(), found.end.isoformat(), found.window_s
    ('2026-01-01T11:01:00', '2026-01-01T12:01:00', 60)
    """
    window_s = -(-span.window_s // pane_s) * pane_s
    windows = max(1, span.seconds // window_s)
    since = datetime(1970, 1, 1, tzinfo=newest.tzinfo)
    width = timedelta(seconds=window_s)
    end = since + (newest - since) // width * width + width
    return Interval(end - windows * width, end, window_s)
