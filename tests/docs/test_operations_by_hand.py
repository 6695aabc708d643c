"""What docs/operations.md says to do by hand, replaying and the game day, does what is shown."""

import runpy
import shlex
from pathlib import Path

import pytest

from aftcast.cli import app, spread_files
from aftcast.reference.pages import ROOT, Page
from aftcast.reference.transcripts import holds, shown

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
# Title of the section -> the names under which its files are kept.
SECTIONS = {
    "Replaying": {"toml": "candidate.toml"},
    "Game day: the labels are late": {"toml": "game.toml", "python": "hold_back.py"},
}


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_does_what_is_shown(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Page(title, TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0])
    monkeypatch.chdir(tmp_path)
    for block in page.blocks:
        if block.language != "console":
            Path(SECTIONS[title][block.language]).write_text(block.text, encoding="utf-8")
            continue
        for line, lines in shown(block):
            program, *arguments = shlex.split(line)
            if program == "aftcast":
                app(spread_files(arguments), standalone_mode=False)
            elif arguments[0] == "-c":
                exec(arguments[1], {})  # noqa: S102  # of our own page
            else:
                runpy.run_path(arguments[0])
            printed = capsys.readouterr().out
            assert holds(printed, lines), f"{line}\n{printed}"
