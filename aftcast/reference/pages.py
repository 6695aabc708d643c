"""Every Markdown page of the repository, with its blocks, headings and links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
# What a checkout holds beside the project's own pages.
NOT_OURS = {".venv", ".kafka", ".git", "node_modules", "site", ".cache", ".pytest_cache"}
_MARKER = re.compile(r"<!-- (not run|tested by): ?(.+?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, its text, and what the comment before it says.

    ``not_run`` is the reason why nobody executes it, ``tested_by`` the test file that does so by itself.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str = ""
    tested_by: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Link:
    """Where a link or picture of a page leads, as it is written there."""

    page: str
    line: int
    target: str


@dataclass(frozen=True)
class Page:
    """One Markdown file, named by its path from the root of the repository."""

    name: str
    text: str

    @cached_property
    def _tokens(self) -> list[Token]:
        return MarkdownIt().enable("table").parse(self.text)

    @cached_property
    def anchors(self) -> set[str]:
        """Return the anchors of the headings, as GitHub and the built site make them."""
        found: set[str] = set()
        for token, following in zip(self._tokens, self._tokens[1:], strict=False):
            if token.type == "heading_open":
                first = slug(_plain(following))
                found.add(next(name for name in _numbered(first) if name not in found))
        return found | set(re.findall(r'<a (?:id|name)="([^"]+)">', self.text))

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(self._blocks())

    @cached_property
    def code_spans(self) -> tuple[tuple[int, str], ...]:
        """Return code within sentences and tables: line and text."""
        return tuple(
            ((token.map or [0])[0] + 1, child.content)
            for token in self._tokens
            for child in token.children or ()
            if child.type == "code_inline"
        )

    @cached_property
    def links(self) -> tuple[Link, ...]:
        return tuple(self._links())

    def _blocks(self) -> Iterator[Block]:
        said: dict[str, str] = {}
        for token in self._tokens:
            if token.type == "html_block":
                said = dict(_MARKER.findall(token.content))
                continue
            if token.type == "fence":
                line = (token.map or [0])[0] + 1
                words = token.info.split()
                language = words[0] if words else ""
                text = token.content
                yield Block(
                    self.name, line, language, text, said.get("not run", ""), said.get("tested by", "")
                )
            said = {}

    def _links(self) -> Iterator[Link]:
        for token in self._tokens:
            line = (token.map or [0])[0] + 1
            for child in token.children or ():
                target = child.attrGet("href") if child.type == "link_open" else child.attrGet("src")
                if target is not None:
                    yield Link(self.name, line, str(target))


def pages(root: Path = ROOT) -> list[Page]:
    """Return all pages of a checkout, in the order of their names."""
    files = (path.relative_to(root) for path in root.rglob("*.md"))
    ours = sorted(path for path in files if not NOT_OURS & set(path.parts))
    return [Page(path.as_posix(), (root / path).read_text(encoding="utf-8")) for path in ours]


def slug(heading: str) -> str:
    """Return the anchor of a heading.

    Examples
    --------
    >>> slug("What thin traffic can prove"), slug("Alerts, and `drift`: why?")
    ('what-thin-traffic-can-prove', 'alerts-and-drift-why')
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))


def _numbered(first: str) -> Iterator[str]:
    yield first
    number = 1
    while True:
        yield f"{first}-{number}"
        number += 1
