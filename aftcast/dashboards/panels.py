"""What a panel and a board are, before any of Grafana's words."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["timeseries", "stat", "table", "barchart", "bargauge"]
Source = Literal["clickhouse", "prometheus"]


@dataclass(frozen=True, slots=True)
class Query:
    """One statement of a panel; ``name`` tells its result from those of the panel's other statements.

    A time series has the columns ``time``, ``series`` and one figure, in order of time. Results called
    ``provisional`` are drawn apart: their labels are still on the way.
    """

    text: str
    name: str = "mature"
    source: Source = "clickhouse"
    legend: str = ""  # of Prometheus, by its labels


@dataclass(frozen=True, slots=True)
class Panel:
    """What is shown, in which unit (Grafana's name of it), and what it answers.

    ``alarm_above`` colours a figure. ``links`` are addresses by the column that carries them.
    """

    title: str
    kind: Kind
    queries: tuple[Query, ...]
    description: str
    unit: str = "short"
    width: int = 8  # of 24 columns
    height: int = 8  # in rows of 30 pixels
    alarm_above: float | None = None
    units: tuple[tuple[str, str], ...] = ()  # of columns that have another unit than the panel
    links: tuple[tuple[str, str, str], ...] = ()  # column, what the link says, address
    series_link: tuple[str, str] | None = None  # of each line: what the link says, address


@dataclass(frozen=True, slots=True)
class Mark:
    """What is drawn on every chart of a board; with a column ``timeEnd`` each is a span, else a line."""

    name: str
    colour: str
    query: str


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading; a closed one asks nothing until it is opened."""

    title: str
    panels: tuple[Panel, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a board: from a query, or from a fixed list of (text, value)."""

    name: str
    label: str
    query: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    default: str = ""
    with_all: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; ``name`` is its file, and with a prefix its address."""

    name: str
    title: str
    description: str
    span: str  # that it shows when it is opened
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    annotations: tuple[Mark, ...]
    leads_to: tuple[str, ...] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for row in self.rows for panel in row.panels)
