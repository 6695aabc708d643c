"""``make reference``: writes the tables made from the code into the pages that have a place for them."""

import re
import sys
from pathlib import Path

from aftcast.reference.pages import ROOT
from aftcast.reference.tables import TABLES

_PLACE = re.compile(r"(<!-- made by `make reference`: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(text: str) -> str:
    """Return a page with its tables as the code has them now; ``KeyError`` for a table that there is not."""
    return _PLACE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}", text)


def places(text: str) -> list[str]:
    return [name for _, name, _ in _PLACE.findall(text)]


def main(folder: Path = ROOT / "docs") -> int:
    """Write what differs, and say which files did."""
    for path in sorted(folder.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        new = written(text)
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(f"{path.relative_to(folder.parent)} written")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
