"""A monitor as bytes and back, in short steps; the reader builds nothing but what monitors consist of."""

import importlib.metadata
import io
import pickle
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import MethodType
from typing import Any

import msgspec

from schemas import messages
from schemas.settings import MonitorSettings
from streams.monitor.stage import Monitor

SNAPSHOT_FORMAT = 1
# Whose classes a snapshot may name. Nothing here opens files or connections when it is built.
PACKAGES = (
    "schemas",
    "streams.alerts",
    "streams.drift",
    "streams.maturity",
    "streams.metrics",
    "streams.monitor",
    "streams.nowcast",
    "streams.references",
    "river.drift",
    "river.stats",
    "river._river_rust",
)
OTHER_CLASSES = {("collections", "deque"), ("numpy", "dtype"), ("numpy", "ndarray"), ("random", "Random")}
# How numpy puts arrays and single numbers together again.
NUMPY_FUNCTIONS = {
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}
LIBRARIES = ("numpy", "pyarrow", "river", "scipy")


class SnapshotError(ValueError):
    """A snapshot is of another version or of other settings, damaged, or names what it may not."""


@cache
def code_version() -> str:
    """Return a fingerprint of the code that a monitor consists of: its sources and its libraries.

    A monitor goes on exactly only in the code that it was written by.
    """
    root = Path(__file__).parents[2]
    digest = sha256()
    for package in PACKAGES:
        if not package.startswith("river"):
            for path in sorted((root / package.replace(".", "/")).rglob("*.py")):
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    for name in LIBRARIES:
        digest.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    return digest.hexdigest()[:16]


def fingerprint(settings: MonitorSettings) -> str:
    """Return what a snapshot must agree in with who reads it: format, code and settings."""
    digest = sha256(f"{SNAPSHOT_FORMAT} {code_version()} ".encode())
    # Where runbooks are changes nothing that a detector has seen.
    watched = replace(settings, runbook_url="")
    digest.update(msgspec.json.encode(watched, order="deterministic"))
    return digest.hexdigest()[:16]


def dump(monitor: Monitor, beside: object = None) -> Iterator[bytes]:
    """Yield a monitor as bytes, a piece for each short step; it must not change until the last one.

    Parameters
    ----------
    beside
        What belongs to it and is no part of it; ``load`` gives both back.
    """
    out = io.BytesIO()
    # One pickler for all of it: what two parts share is one object again when they are read.
    pickler = pickle.Pickler(out, 5)
    drifts = monitor.__dict__["_drifts"]
    rest = {name: value for name, value in monitor.__dict__.items() if name != "_drifts"}
    pickler.dump((fingerprint(monitor.settings), rest, beside))
    yield _taken(out)
    for item in drifts.items():
        pickler.dump(item)
        yield _taken(out)
    pickler.dump(None)
    for rows in monitor.__dict__["_store"].rows():
        if rows is not None:
            pickler.dump(messages.encode_panes(rows))
        yield _taken(out)
    pickler.dump(None)
    yield _taken(out)


class Loading:
    """A snapshot on its way to be a monitor again: ``steps`` does a little at a time.

    Examples
    --------
    >>> settings = MonitorSettings()
    >>> loading = Loading(b"".join(dump(Monitor(settings), beside=7)), settings)
    >>> for _ in loading.steps():
    ...     pass  # others may have a turn here
    >>> loading.beside
    7
    """

    def __init__(self, value: bytes, settings: MonitorSettings) -> None:
        self._value, self._settings = value, settings
        self.monitor = Monitor(settings)
        self.beside: Any = None

    def steps(self) -> Iterator[None]:
        """Read on; ``monitor`` and ``beside`` stand when it ends.

        Raises
        ------
        SnapshotError
            If it was written by other code or for other settings, is cut short, or names a class or function
            that no monitor consists of. Nothing of that is called.
        """
        try:
            yield from self._steps()
        except SnapshotError:
            raise
        # Damaged bytes may end in any of these, and in others of the classes' own.
        except Exception as error:
            raise SnapshotError(f"snapshot damaged ({type(error).__name__}: {error})") from error

    def _steps(self) -> Iterator[None]:
        reader = _Reader(io.BytesIO(self._value))
        found, rest, beside = reader.load()
        if found != fingerprint(self._settings):
            raise SnapshotError("snapshot written by another version or for other settings")
        yield
        drifts = {}
        while (item := reader.load()) is not None:
            drifts[item[0]] = item[1]
            yield
        self.monitor.__dict__.update(rest, _drifts=drifts)
        store = self.monitor.__dict__["_store"]
        while (rows := reader.load()) is not None:
            store.restore(messages.decode_panes(rows))
            yield
        self.beside = beside


class _Reader(pickle.Unpickler):
    """Builds objects of the monitor's own classes, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _method  # how pickle writes a bound method
        if "." in name:
            raise SnapshotError(f"snapshot names {module}.{name}, which is no part of a monitor")
        if (module, name) in NUMPY_FUNCTIONS | OTHER_CLASSES:
            return super().find_class(module, name)
        if _inside(module):
            found = super().find_class(module, name)
            # Not what a module has only imported.
            if isinstance(found, type) and _inside(found.__module__):
                return found
        raise SnapshotError(f"snapshot names {module}.{name}, which is no part of a monitor")


def _inside(module: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in PACKAGES)


def _method(owner: object, name: str) -> Any:
    found = getattr(owner, name, None) if _inside(type(owner).__module__) else None
    if not isinstance(found, MethodType) or found.__self__ is not owner:
        raise SnapshotError(f"snapshot names {type(owner).__name__}.{name}, which is no part of a monitor")
    return found


def _taken(out: io.BytesIO) -> bytes:
    value = out.getvalue()
    out.seek(0)
    out.truncate()
    return value
