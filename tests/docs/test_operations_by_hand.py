"""What docs/operations.md says to do by hand, replaying and the game day, does what is shown."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aftcast.reference.pages import ROOT, Page
from aftcast.reference.transcripts import holds, shown

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
# Title of the section -> the names under which its files are kept.
SECTIONS = {
    "Replaying": {"toml": "candidate.toml"},
    "Game day: the labels are late": {"toml": "game.toml", "python": "hold_back.py"},
}


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_does_what_is_shown(title: str, tmp_path: Path) -> None:
    page = Page(title, TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0])
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, start in (("python", sys.executable), ("aftcast", f"{sys.executable} -m aftcast.cli")):
        (tools / name).write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        (tools / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for block in page.blocks:
        if block.language != "console":
            (tmp_path / SECTIONS[title][block.language]).write_text(block.text, encoding="utf-8")
            continue
        for line, lines in shown(block):
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert holds(done.stdout, lines), f"{line}\n{done.stdout}"
