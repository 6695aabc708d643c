"""The tables of the documentation that are made from the code, by name."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from aftcast.cold_metrics import COLD_COUNTERS, COLD_GAUGES, LAST_RUN, OLDEST, SWEPT
from aftcast.configuration import Configuration, Detector, Forward, Model, Rule
from aftcast.forward.metrics import SERIES as FORWARD_SERIES
from aftcast.hour_metrics import HOUR_COUNTERS, HOURS_LAST_RUN, HOURS_OLDEST, HOURS_WAITING
from aftcast.quantities import duration_text, size_text
from aftcast.raw_metrics import COUNTERS, LAGS, ROWS, WAITING
from aftcast.reference.command_line import commands, options
from streams.alerts.kinds import COMMON, EVIDENCE
from streams.worker.metrics import FINDINGS, SERIES
from streams.worker.model_metrics import MODELS

# Tables that a file may hold many of, or of which the code has no instance until one is configured.
REPEATED: Mapping[str, type[BaseModel]] = {
    "[models.NAME]": Model,
    "[[rules]]": Rule,
    "[[forward]]": Forward,
    "[[detection.detectors]]": Detector,
}


def table(*columns: str) -> Callable[[Iterable[Iterable[str]]], str]:
    """Return a function that writes rows as a Markdown table.

    Examples
    --------
    >>> print(table("a", "b")([["1", "2"]]), end="")
    | a | b |
    |---|---|
    | 1 | 2 |
    """

    def write(rows: Iterable[Iterable[str]]) -> str:
        lines = [columns, ["---"] * len(columns), *rows]
        cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
        first, rule, *rest = (f"| {' | '.join(line)} |" for line in cells)
        return "\n".join([first, rule.replace(" ", ""), *rest]) + "\n"

    return write


def keys() -> Iterator[tuple[str, str, str, str]]:
    """Yield section, key, default and meaning of all that can be configured."""
    sections = {
        f"[{name}]": type(section) for name, section in Configuration() if isinstance(section, BaseModel)
    }
    for section, model in (sections | dict(REPEATED)).items():
        for name, field in model.model_fields.items():
            yield f"`{section}`", f"`{field.alias or name}`", default(name, field), str(field.description)


def default(name: str, field: FieldInfo) -> str:
    """Return a key's default as a file would have it, or a word where it has none."""
    value = field.default
    if field.is_required():
        return "required"
    if field.alias == "maturity_horizon":
        return '`"auto"`'
    if value is None or isinstance(value, (SecretStr, dict)) or value == ():
        return "none"
    if isinstance(value, tuple):
        return ", ".join(one.name for one in value)
    for unit, text in (("_ms", duration_text), ("_bytes", size_text)):
        if name.endswith(unit):
            return f'`"{text(value)}"`'
    return f"`{json.dumps(value)}`"


def counted(kind: str, metrics: Mapping[str, tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [(f"`{name}`", kind, explanation) for name, (_, explanation) in metrics.items()]


def told(kind: str, metrics: Iterable[tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [(f"`{name}`", kind, explanation) for name, explanation in metrics]


_metrics = table("metric", "type", "meaning")
RAW_ALONE = ((WAITING, "Records of the block that is kept."),)
ROWS_BY_TABLE = ((ROWS, "Rows written, by `table`."),)

TABLES: Mapping[str, Callable[[], str]] = {
    "configuration": lambda: table("section", "key", "default", "meaning")(keys()),
    "commands": lambda: table("command", "what it does")(commands()),
    "options": lambda: table("command", "option", "default", "meaning")(options()),
    "metrics of partitions": lambda: _metrics((f"`{s.name}`", s.kind, s.explanation) for s in SERIES),
    "metrics of the worker": lambda: _metrics(told("counter", FINDINGS)),
    "metrics of models": lambda: _metrics(told("gauge", MODELS)),
    "metrics of the raw role": lambda: _metrics(
        counted("counter", COUNTERS) + told("gauge", RAW_ALONE) + told("counter", ROWS_BY_TABLE)
        + told("gauge", LAGS)
    ),
    "metrics of the cold join": lambda: _metrics(
        counted("counter", COLD_COUNTERS) + counted("gauge", COLD_GAUGES)
        + told("gauge", (OLDEST, SWEPT, LAST_RUN))
    ),
    "metrics of adding up hours": lambda: _metrics(
        counted("counter", HOUR_COUNTERS) + told("gauge", (HOURS_WAITING, HOURS_OLDEST, HOURS_LAST_RUN))
    ),
    "metrics of the forwarder": lambda: _metrics(
        (f"`{s.name}`", s.kind, s.explanation) for s in FORWARD_SERIES
    ),
    "evidence of alerts": lambda: table("kind", "field", "meaning")(
        (f"`{kind}`" if kind in EVIDENCE else "any about a model", f"`{name}`", meaning)
        for kind, names in {"any": COMMON, **EVIDENCE}.items()
        for name, meaning in names.items()
    ),
}  # fmt: skip
