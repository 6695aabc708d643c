"""The page on late labels shows pictures that exist, and the figures that the simulation printed."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "late-labels.md").read_text(encoding="utf-8")
PICTURES = re.findall(r"!\[([^\]]+)\]\((pictures/[a-z-]+\.svg)\)", PAGE)


@pytest.mark.parametrize(("text", "name"), PICTURES)
def test_a_picture_is_small_well_formed_svg_without_a_date_and_says_what_it_shows(
    text: str, name: str
) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    root = ET.fromstring(written)  # noqa: S314  # our own file
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(written.encode()) < 60_000
    assert "dc:date" not in written
    assert len(text) > 30


def test_every_picture_that_is_drawn_is_shown() -> None:
    assert sorted(name for _, name in PICTURES) == sorted(
        f"pictures/{path.name}" for path in (DOCS / "pictures").glob("*.svg") if path.stem != "house"
    )
    assert len(PICTURES) == 4


def test_the_figures_are_those_that_the_simulation_printed() -> None:
    figures = json.loads((DOCS / "pictures" / "figures.json").read_text(encoding="utf-8"))
    table = PAGE.split("## The figures of this page\n")[1]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert [tuple(row) for row in rows] == list(figures.items())


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([a-z-]+\.md)(?:#[a-z-]+)?\)", PAGE):
        assert (DOCS / target).is_file()
