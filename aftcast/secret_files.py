"""Secrets that stand in files: read once when the configuration is, so that no variable holds them."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from aftcast.configuration import Configuration, Trusting

SUFFIX = "_file"
LARGEST_BYTES = 65_536  # a password or a key in PEM; more was a wrong path
SHORTEST = 16  # characters of a token or key: 64 bits even if each is a hexadecimal digit
HIDDEN = "a value that is not shown"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Problem = tuple[tuple[str | int, ...], str, Any]


def is_secret(field: FieldInfo) -> bool:
    """Return whether a key holds a secret."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def with_secrets(configuration: Configuration) -> tuple[Configuration, list[Problem]]:
    """Return the configuration with the secrets of every ``*_file`` key read, and what is wrong with them.

    A trailing newline is no part of a secret. Each problem is path, rule and value, as of
    ``aftcast.configuration.problems``.
    """
    found: list[Problem] = []
    read: dict[str, BaseModel] = {}
    for section, holder in _sections(configuration):
        secrets: dict[str, SecretStr] = {}
        for name, file in _files(holder):
            try:
                secrets[name] = SecretStr(_secret(holder, name, file))
            except ValueError as error:
                found.append(((section, name + SUFFIX), str(error), f'"{file}"'))
        if secrets:
            read[section] = holder.model_copy(update=secrets)
    configuration = configuration.model_copy(update=read)
    return configuration, found or [*_unfit(configuration), *_unreadable(configuration)]


def exposed_files(configuration: Configuration) -> list[str]:
    """Return the files of secrets that every user of this machine may read."""
    files = (Path(file) for _, holder in _sections(configuration) for _, file in _files(holder))
    return sorted({str(file) for file in files if file.exists() and file.stat().st_mode & stat.S_IROTH})


def _sections(configuration: Configuration) -> Iterator[tuple[str, BaseModel]]:
    return ((name, value) for name, value in configuration if isinstance(value, BaseModel))


def _files(holder: BaseModel) -> Iterator[tuple[str, str]]:
    for name, field in type(holder).model_fields.items():
        if is_secret(field) and (file := getattr(holder, name + SUFFIX, "")):
            yield name, file


def _secret(holder: BaseModel, name: str, file: str) -> str:
    if getattr(holder, name) is not None:
        raise ValueError(f"must not stand beside {name}: give one of the two")
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(LARGEST_BYTES + 1)
        text = content.decode()
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise ValueError(f"must name a file that this user can read ({reason})") from None
    except UnicodeDecodeError:
        raise ValueError("must name a file of text in UTF-8") from None
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"must name a file of at most {LARGEST_BYTES:,} bytes")
    if not (secret := text.rstrip("\r\n")):
        raise ValueError("must name a file that holds the secret; it is empty")
    return secret


def _unreadable(configuration: Configuration) -> Iterator[Problem]:
    for section, holder in _sections(configuration):
        for key in Trusting.model_fields if isinstance(holder, Trusting) else ():
            if (file := getattr(holder, key)) and not os.access(file, os.R_OK):
                yield (section, key), "must name a file that this user can read", f'"{file}"'


def _unfit(configuration: Configuration) -> Iterator[Problem]:
    too_short = f"must have at least {SHORTEST} characters; one is made by: openssl rand -hex 24"
    for section, token in (("metrics", configuration.metrics.token), ("page", configuration.page.token)):
        text = "" if token is None else token.get_secret_value()
        if not (text.isascii() and text.isprintable()) or " " in text:
            yield (section, "token"), "must be of ASCII letters, digits and signs, no spaces", HIDDEN
        elif token is not None and len(text) < SHORTEST:
            yield (section, "token"), too_short, HIDDEN
    if configuration.page.host not in LOOPBACK and configuration.page.token is None:
        rule = "must be 127.0.0.1, or stand beside a token or token_file"
        yield ("page", "host"), rule, f'"{configuration.page.host}" and no token'
    privacy = configuration.privacy
    if privacy.key is None:
        if privacy.hashed:
            rule = "must stand beside a key or key_file: whoever knows a hash could try values out"
            yield ("privacy", "hash"), rule, f"{len(privacy.hashed)} fields and no key"
    elif len(privacy.key.get_secret_value()) < SHORTEST:
        yield ("privacy", "key"), too_short, HIDDEN
