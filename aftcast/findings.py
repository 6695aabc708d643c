"""What a look at a set-up found: one line each, with the remedy where something is wrong."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich.text import Text

from aftcast.output import console

Grade = Literal["ok", "done", "warning", "failure"]
STYLES: dict[Grade, str] = {"ok": "green", "done": "cyan", "warning": "yellow", "failure": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One item: what was looked at, how it is, and what to do about it."""

    grade: Grade
    item: str
    text: str
    remedy: str = ""


def show(findings: Sequence[Finding]) -> None:
    """Print findings for people, the grade first."""
    screen = console()
    for finding in findings:
        line = Text.assemble(
            (f"{finding.grade:<8}", STYLES[finding.grade]), f"{finding.item}: {finding.text}"
        )
        screen.print(line)
        if finding.remedy:
            screen.print(Text(f"{'':8}→ {finding.remedy}", style="dim"))


def documents(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [asdict(finding) for finding in findings]


def failures(findings: Sequence[Finding]) -> int:
    return sum(finding.grade == "failure" for finding in findings)
