"""The picture of the house is that of the code, and the page names tests and benchmarks that there are."""

import importlib.util
import re
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

from aftcast.reference.pages import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURES = ROOT / "docs" / "pictures"


@pytest.fixture(scope="module")
def house() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", PICTURES / "house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_drawn_from_the_imports_as_they_are(house: ModuleType) -> None:
    drawn = (PICTURES / "house.svg").read_text(encoding="utf-8")
    assert drawn == house.picture(), "run `python docs/pictures/house.py`"


def test_the_picture_needs_nothing_from_elsewhere_and_says_what_it_shows() -> None:
    text = (PICTURES / "house.svg").read_text(encoding="utf-8")
    root = ET.fromstring(text)  # noqa: S314  # our own file
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"href|url\(|@import|<script", text)
    assert "prefers-color-scheme: dark" in text


def test_every_line_leads_down(house: ModuleType) -> None:
    rooms, lines = house.imports()
    floor = house.floors(rooms, lines)
    assert all(floor[one] > floor[other] for one, other in lines)


def test_imports_in_a_circle_cannot_be_drawn(house: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"in a circle: \['a', 'b'\]"):
        house.floors({"a", "b", "schemas"}, {("a", "b"), ("b", "a")})


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:tests|benchmarks|streams|sinks|schemas|docs)/[\w./]+)`", PAGE)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_law_of_the_folder_of_laws_is_on_the_page() -> None:
    laws = {path.name for path in (ROOT / "tests" / "laws").glob("test_law_*.py")}
    missing = {name for name in laws if name not in PAGE}
    assert missing <= {"test_law_rings_go_around.py"}  # about memory that is used again, no law of figures
