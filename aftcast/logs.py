"""Logs: one line an event on standard error, for people at a terminal, as JSON elsewhere."""

import logging
import sys
from typing import Any, TextIO

import structlog


def configure_logs(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send structlog's events, and the standard library's from warnings on, to one stream.

    ``stream`` is standard error unless given; colours are for terminals only.
    """
    output: TextIO = stream or sys.stderr
    at_terminal = output.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if at_terminal
        else structlog.processors.JSONRenderer(sort_keys=False, default=str)
    )
    exceptions = [] if at_terminal else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*shared, *exceptions, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *exceptions, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Faust and its libraries tell their life at INFO; what a person must know comes as a warning.
    root.setLevel(logging.WARNING)
