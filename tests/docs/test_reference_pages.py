"""The tables of the pages are those that the code makes, and each has its place once."""

from collections import Counter
from pathlib import Path

import pytest

from aftcast.cli import COMMANDS
from aftcast.reference.__main__ import main, places, written
from aftcast.reference.pages import ROOT
from aftcast.reference.tables import TABLES, table

DOCS = ROOT / "docs"
TEXTS = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")}


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if places(text)])
def test_making_the_reference_again_changes_nothing(name: str) -> None:
    assert written(TEXTS[name]) == TEXTS[name], "run `make reference`"


def test_every_table_has_its_place_once() -> None:
    assert Counter(name for text in TEXTS.values() for name in places(text)) == Counter(list(TABLES))


def test_what_is_out_of_date_is_written_and_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    begin = "<!-- made by `make reference`: metrics of models -->\n\n"
    before = f"# Title\n\n{begin}| old |\n|---|\n\n<!-- end -->\n\nText | with bars.\n"
    (tmp_path / "page.md").write_text(before, encoding="utf-8")
    main(tmp_path)
    after = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert after == f"# Title\n\n{begin}{TABLES['metrics of models']()}\n<!-- end -->\n\nText | with bars.\n"


def test_a_place_for_a_table_that_there_is_not_is_an_error() -> None:
    with pytest.raises(KeyError, match="no such table"):
        written("<!-- made by `make reference`: no such table -->\n<!-- end -->")


def test_a_bar_within_a_cell_does_not_end_it() -> None:
    assert table("a")([["1|2"]]).splitlines()[-1] == "| 1\\|2 |"


def test_all_commands_but_two_read_a_configuration_as_the_page_says() -> None:
    without = {name for name, command in COMMANDS.items() if "config" not in command.__annotations__}
    assert without == {"demo", "version"}
    assert "All but `demo` and `version` read" in TEXTS["commands.md"]
