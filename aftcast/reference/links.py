"""Whether every relative link and anchor of the pages leads somewhere; ``make docs-links`` runs it."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aftcast.reference.pages import ROOT, Link, Page, pages


def broken(found: Sequence[Page], root: Path = ROOT) -> Iterator[tuple[Link, str]]:
    """Yield each link that leads nowhere, with what is missing; addresses of the web are not asked."""
    by_name = {page.name: page for page in found}
    for page in found:
        for link in page.links:
            parts = urlsplit(link.target)
            if parts.scheme or parts.netloc:
                continue
            target = (root / page.name).parent / unquote(parts.path) if parts.path else root / page.name
            name = _name(target, root)
            if name is None or not target.exists():
                yield link, "no such file in the repository"
            elif parts.fragment and name in by_name and parts.fragment not in by_name[name].anchors:
                yield link, f"{name} has no heading for #{parts.fragment}"


def _name(target: Path, root: Path) -> str | None:
    try:
        return target.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return None


def main() -> int:
    """Print what is broken; exit code 1 if anything is."""
    found = pages()
    wrong = [f"{link.page}:{link.line}: {link.target}: {missing}" for link, missing in broken(found)]
    for line in wrong:
        print(line)  # noqa: T201
    links = sum(len(page.links) for page in found)
    print(f"{links} links on {len(found)} pages, {len(wrong)} lead nowhere")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
