"""The page's own files, read once: bytes, their gzip, and an entity tag by which browsers keep them."""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

CONTENT_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "md": "text/plain",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page."""

    content_type: str
    content: bytes
    packed: bytes
    tag: str


@cache
def page_files() -> dict[str, PageFile]:
    """Return every file by its path below ``static/``.

    Examples
    --------
    >>> page_files()["index.html"].content_type
    'text/html'
    """
    return dict(_below(files("aftcast.page").joinpath("static"), ""))


def _below(folder: Traversable, path: str) -> list[tuple[str, PageFile]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            found += _below(entry, f"{path}{entry.name}/")
            continue
        content = entry.read_bytes()
        content_type = CONTENT_TYPES.get(entry.name.rpartition(".")[2], "text/plain")
        packed = gzip.compress(content, 9, mtime=0)
        found.append((path + entry.name, PageFile(content_type, content, packed, sha256(packed).hexdigest())))
    return found
