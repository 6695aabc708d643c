"""What the command line takes, read off the application itself."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from aftcast.cli import app

_DEFAULT = re.compile(r" *\[default: (.+)\]$")


def commands() -> Iterator[tuple[str, str]]:
    """Yield each command with the first paragraph of its help."""
    for name, command in _known().items():
        yield f"`aftcast {name}`", " ".join(command.help.split("\n\n")[0].split())


def options() -> Iterator[tuple[str, str, str, str]]:
    """Yield command, argument or option, default and meaning, in the order of the help.

    ``--config`` is left out: every command has it that reads a configuration.
    """
    for name, command in _known().items():
        for one in command.params:
            if one.name == "config":
                continue
            meaning = " ".join((one.help or "").split())
            said = _DEFAULT.search(meaning)
            yield f"`{name}`", _written(one), _default(one, said), _DEFAULT.sub("", meaning)


def _known() -> dict[str, Any]:
    found: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return found


def _written(one: Any) -> str:
    if one.param_type_name == "argument":
        return f"`{one.name.upper()}`"
    value = "" if one.is_flag else f" {one.metavar or 'VALUE'}"
    return ", ".join(f"`{name}{value}`" for name in (*one.opts, *one.secondary_opts))


def _default(one: Any, said: re.Match[str] | None) -> str:
    if one.required:
        return "required"
    if said is not None:
        return said[1]
    if isinstance(one.default, bool):
        return "yes" if one.default else "no"
    if one.default in (None, [], ()):
        return "none"
    return f"`{one.default:g}`" if isinstance(one.default, float) else f"`{one.default}`"
