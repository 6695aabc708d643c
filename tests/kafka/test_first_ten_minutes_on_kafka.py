"""docs/first-ten-minutes.md from top to bottom, as it stands, on a Kafka and a ClickHouse of its own."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aftcast.reference.pages import ROOT, Page
from aftcast.reference.shell import script
from aftcast.reference.transcripts import holds, shown

pytestmark = pytest.mark.kafka
PAGE = Page("docs/first-ten-minutes.md", (ROOT / "docs" / "first-ten-minutes.md").read_text(encoding="utf-8"))
README = Page("README.md", (ROOT / "README.md").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
GO_ON = ("make kafka", "python -m sinks.clickhouse.http_server", "aftcast worker")
FILES = {"toml": "aftcast.toml", "python": "report.py"}
PATIENCE_S = 60


class Terminals:
    """Runs the commands of the page in one folder; what goes on does so until the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses: dict[str, str] = {}  # as the page has them -> as they are here
        self.processes: list[subprocess.Popen[str]] = []
        tools = folder / ".venv" / "bin"
        tools.mkdir(parents=True)
        for name, start in (("python", sys.executable), ("aftcast", f"{sys.executable} -m aftcast.cli")):
            (tools / name).write_text(f'#!/bin/sh\nexec {start} "$@"\n')
            (tools / name).chmod(0o755)
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tools}:{os.environ['PATH']}"}

    def here(self, text: str) -> str:
        for written, found in self.addresses.items():
            text = text.replace(written, found)
        return text

    def begin(self, line: str) -> str:
        """Start what goes on, and return the first line that it prints."""
        if line.startswith("make "):
            (recipe,) = re.findall(rf"^{line.removeprefix('make ')}:.*\n\t(.+)$", MAKEFILE, re.M)
            line = recipe.replace("$(BIN)/", "")
        if "http_server" in line:
            line += " --port 0"  # a test takes no port that somebody may want
        with (self.folder / "errors.txt").open("a") as errors:
            process = subprocess.Popen(
                shlex.split(line), cwd=self.folder, env=self.environment, text=True,
                stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        self.processes.append(process)
        if "aftcast worker" in line:
            return ""
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def end(self, line: str) -> str:
        done = subprocess.run(
            ["bash", "-c", self.here(line)], cwd=self.folder, env=self.environment, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    one = Terminals(tmp_path)
    yield one
    for process in reversed(one.processes):
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def patiently(ask: Callable[[], str], lines: list[str]) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not holds(printed := ask(), lines):
        assert time.monotonic() < ends_s, f"{printed}\nis not\n{lines}"
        time.sleep(0.5)


def test_every_command_of_the_page_does_what_is_shown_and_programs_of_the_readme_report(
    terminals: Terminals,
) -> None:
    for block in PAGE.blocks:
        if block.language in FILES:
            text = terminals.here(block.text)
            (terminals.folder / FILES[block.language]).write_text(text, encoding="utf-8")
            continue
        assert script(block)
        for line, lines in shown(block):
            if line.startswith(GO_ON):
                address = terminals.begin(line)
                if "worker" not in line:
                    assert ":" in address, (terminals.folder / "errors.txt").read_text()
                    terminals.addresses[lines[0].removeprefix("http://")] = address.removeprefix("http://")
                    name = "CLICKHOUSE__URL" if "http" in address else "KAFKA__BOOTSTRAP_SERVERS"
                    terminals.environment[f"AFTCAST_{name}"] = address
            elif "report.py" in line or "setup" in line:
                assert holds(printed := terminals.end(line), lines), printed
            else:
                patiently(lambda line=line: terminals.end(line), lines)
    for block in README.blocks:
        if block.language == "python":
            program = block.text.replace("localhost:9092", terminals.addresses["127.0.0.1:9092"])
            terminals.end(f"python -c {shlex.quote(program)}")
    counted = "SELECT count() AS n FROM labels WHERE prediction_id = 'a1' AND label = 'fine'"
    # One of the page itself, and one of each program.
    patiently(lambda: terminals.end(f'aftcast sql --format CSV "{counted}" | sed s/3/three/'), ["three"])
