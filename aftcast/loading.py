"""Reading the configuration: command line over environment over TOML file over defaults, errors by place."""

import json
import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from aftcast.configuration import Configuration, problems
from aftcast.failure import Failure
from aftcast.secret_files import HIDDEN, is_secret, with_secrets
from aftcast.toml_lines import Path as KeyPath
from aftcast.toml_lines import key_lines

PREFIX = "AFTCAST_"
DEFAULT_FILE = "aftcast.toml"
_MISSING = object()


class ConfigurationError(Failure):
    """The configuration is refused; the text has one line for each key that is wrong."""


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Configuration:
    """Return the configuration in force.

    Parameters
    ----------
    path
        The TOML file; None: ``AFTCAST_CONFIG``, else ``aftcast.toml`` here if there is one.
    environment
        Instead of the process's own.
    options
        What the command line says, as ``{section: {key: value}}``; None values count as not said.

    Raises
    ------
    ConfigurationError
        If the file cannot be read or a key is unknown or wrong, with the place and the remedy.
    """
    variables = os.environ if environment is None else environment
    if path is None:
        path = _default_path(variables)
    values, places = _file_values(path) if path else ({}, {})
    _add_environment(values, places, variables)
    for section, keys in (options or {}).items():
        for key, value in keys.items():
            if value is not None:
                values.setdefault(section, {})[key] = value
                places[section, key] = "--" + key.replace("_", "-")
    return _validated(values, places, str(path) if path else PREFIX + "*")


def _default_path(variables: Mapping[str, str]) -> Path | None:
    if named := variables.get(PREFIX + "CONFIG"):
        return Path(named)
    here = Path(DEFAULT_FILE)
    return here if here.is_file() else None


def _file_values(path: Path) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {(error.strerror or 'error').lower()}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: must be UTF-8; byte {error.start} is not") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: is no valid TOML: {error}") from None
    return values, {key: f"{path}:{line}:" for key, line in key_lines(text).items()}


def _add_environment(
    values: dict[str, Any], places: dict[KeyPath, str], variables: Mapping[str, str]
) -> None:
    """Lay ``AFTCAST_SECTION__KEY`` over the file; whole sections as JSON in ``AFTCAST_SECTION``."""
    for variable in sorted(variables):
        if not variable.startswith(PREFIX) or variable == PREFIX + "CONFIG":
            continue
        section, *keys = variable.removeprefix(PREFIX).split("__")
        section = section.lower()
        if not keys and section not in Configuration.model_fields:
            continue  # AFTCAST_HOME and the like are nobody's configuration
        # Names of models keep their case; keys have none in an environment.
        path = (section, *keys[:-1], keys[-1].lower()) if keys else (section,)
        value: Any = variables[variable]
        if not keys or value[:1] in ("[", "{"):
            try:
                value = json.loads(value)
            except json.JSONDecodeError as error:
                raise ConfigurationError(f"{variable} must be JSON: {error}") from None
        table = values
        for name in path[:-1]:
            below = table.setdefault(name, {})
            if not isinstance(below, dict):
                raise ConfigurationError(f"{variable} cannot be set: {name} is a list; give it as JSON")
            table = below
        table[path[-1]] = value
        places[path] = variable


def _validated(values: dict[str, Any], places: dict[KeyPath, str], source: str) -> Configuration:
    errors: list[tuple[KeyPath, str, Any]] = []
    try:
        configuration = Configuration.model_validate(values)
    except ValidationError as refused:
        for error in refused.errors(include_url=False):
            path = tuple(part for part in error["loc"] if part != "[key]")
            errors.append((path, _rule(path, error), _got(path, error["type"], error["input"])))
    else:
        errors = problems(configuration)
        if not errors:
            configuration, errors = with_secrets(configuration)
        if not errors:
            return configuration
    raise ConfigurationError("\n".join(_line(path, rule, got, places, source) for path, rule, got in errors))


def _line(path: KeyPath, rule: str, got: Any, places: dict[KeyPath, str], source: str) -> str:
    held = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in places), None)
    # An unknown section is named by the first of its keys, which is what was written down.
    place = (
        places[held] if held else next((v for k, v in places.items() if k[: len(path)] == path), f"{source}:")
    )
    if place.endswith(":"):
        listed = ""
        if path[0] not in ("rules", "forward") and isinstance(path[-1], int):
            path, listed = path[:-1], f"[{path[-1]}]"
        section = (
            f"[[{path[0]}]]"
            if path[0] in ("rules", "forward")
            else f"[{'.'.join(map(str, path[:-1] or path))}]"
        )
        keys = [str(part) for part in path[1:] if isinstance(part, str)][-1:]
        subject = " ".join([section, *keys]) + listed if len(path) > 1 else section
        subject = f"{place} {subject}"
    else:
        rest = path[len(held) :] if held else ()
        subject = place + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)
    return f"{subject} {rule}" + ("" if got is _MISSING else f"; got {got}")


def _got(path: KeyPath, kind: str, value: Any) -> Any:
    if kind in ("missing", "extra_forbidden"):
        return _MISSING
    field = _field(path)
    if field is not None and is_secret(field):
        return HIDDEN
    if kind in ("model_type", "dict_type"):
        return HIDDEN  # it would be a whole section, with what is secret in it
    if isinstance(value, str) and "@" in value and "//" in value:
        return "an address with a password"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _rule(path: KeyPath, error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(path)
    rules = {
        "missing": "is missing",
        "value_error": str(context.get("error", "")),
        "string_type": "must be text in quotes",
        "string_too_short": "must not be empty",
        "string_pattern_mismatch": "must be a name of letters, digits and underscores, no digit first",
        "literal_error": f"must be one of {str(context.get('expected', '')).replace(chr(39), chr(34))}",
        "greater_than": f"must be above {context.get('gt')}",
        "greater_than_equal": f"must be at least {context.get('ge')}",
        "less_than_equal": f"must be at most {context.get('le')}",
        "model_type": "must be a table of keys",
        "dict_type": "must be a table of keys",
        "tuple_type": "must be a list of tables",
    }
    if kind.startswith("int_"):
        return "must be a whole number"
    if kind.startswith("float_"):
        return "must be a number"
    return rules.get(kind) or error["msg"]


def _unknown(path: KeyPath) -> str:
    name = str(path[-1])
    holder = _holder(path[:-1])
    known = _keys(holder) if holder else []
    if near := get_close_matches(name, known, n=1):
        return f'is not known; did you mean "{near[0]}"?'
    elsewhere = [
        section
        for section in Configuration.model_fields
        if (inner := _holder((section,))) is not None and inner is not Configuration and name in _keys(inner)
    ]
    if elsewhere:
        return f"is not known here; it belongs into [{elsewhere[0]}]"
    return f"is not known; known are {', '.join(known)}"


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _holder(path: KeyPath) -> type[BaseModel] | None:
    """Return the model whose keys stand under a path such as ``("join",)`` or ``("rules", 0)``."""
    model: type[BaseModel] | None = Configuration
    for part in path:
        if model is None:
            return None
        if isinstance(part, int) or (model is not Configuration and part not in _keys(model)):
            continue
        model = _inner_model(_named(model, str(part)))
    return model


def _named(model: type[BaseModel], key: str) -> FieldInfo | None:
    return next((f for name, f in model.model_fields.items() if (f.alias or name) == key), None)


def _inner_model(field: FieldInfo | None) -> type[BaseModel] | None:
    if field is None:
        return None
    for annotation in (field.annotation, *get_args(field.annotation)):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
    return None


def _field(path: KeyPath) -> FieldInfo | None:
    holder = _holder(path[:-1])
    return _named(holder, str(path[-1])) if holder else None
