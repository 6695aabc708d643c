"""The commands of a console or bash block, word by word."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from aftcast.reference.pages import Block

SHELL = ("console", "bash")
_ENDS = {"|", "||", "&", "&&", ";", "(", ")"}
_REDIRECTIONS = {">", ">>", "<", "2>", "&>"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Command:
    """One command of a block: the variables set for it alone, and its words."""

    block: Block
    variables: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        return self.words[0].rsplit("/", 1)[-1]


def script(block: Block) -> str:
    r"""Return what a shell would run: of a console block the lines behind the prompt.

    Examples
    --------
    >>> script(Block("a.md", 1, "console", "$ aftcast version\n0.1\n$ make demo\n"))
    'aftcast version\nmake demo\n'
    """
    if block.language == "bash":
        return block.text
    lines: list[str] = []
    goes_on = False
    for line in block.text.splitlines():
        if line.startswith("$ "):
            lines.append(line[2:])
        elif goes_on:
            lines.append(line)
        goes_on = (line.startswith("$ ") or goes_on) and line.endswith("\\")
    return "".join(f"{line}\n" for line in lines)


def commands(block: Block) -> Iterator[Command]:
    """Yield the simple commands of a block; pipes, lists and redirections are taken apart."""
    for line in script(block).replace("\\\n", " ").splitlines():
        words: list[str] = []
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        skip = False
        for word in lexer:
            if word in _ENDS:
                yield from _one(block, words)
                words = []
            elif word in _REDIRECTIONS:
                skip = True
            elif skip:
                skip = False
            else:
                words.append(word)
        yield from _one(block, words)


def _one(block: Block, words: list[str]) -> Iterator[Command]:
    count = next((i for i, word in enumerate(words) if not _ASSIGNMENT.match(word)), len(words))
    if words[count:]:
        yield Command(block, tuple(words[:count]), tuple(words[count:]))
