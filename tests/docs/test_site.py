"""The site has every page once in its navigation, is built, and fetches nothing."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aftcast.reference.pages import ROOT

CONFIGURATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation_once_and_runbooks_are_by_their_index() -> None:
    listed = re.findall(r"^ +- (?:.+: )?([\w/-]+\.md)$", CONFIGURATION, re.MULTILINE)
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed) == sorted(
        page for page in pages if not page.startswith("runbooks/") or page == "runbooks/index.md"
    )


@pytest.mark.skipif(
    importlib.util.find_spec("zensical") is None, reason="needs zensical: the extra docs has it"
)
def test_the_site_is_built_and_its_pages_load_from_nowhere_else(tmp_path: Path) -> None:
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    command = [sys.executable, "-m", "zensical", "build", "--clean"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|iframe)[^>]+src=[\"']?(?:https?:)?//|<link[^>]+stylesheet[^>]+https?://",
            page.read_text(encoding="utf-8"),
        )
        assert loaded == [], page.name
