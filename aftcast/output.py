"""What people see: results on standard output, remarks on standard error, colour only where it is wanted."""

import sys

from rich.console import Console
from rich.text import Text


def console(*, errors: bool = False) -> Console:
    """Return where to print; rich looks for a terminal, NO_COLOR and the width itself."""
    return Console(stderr=errors, highlight=False, soft_wrap=True, emoji=False)


def say(text: str) -> None:
    """Print a line as it is, without markup."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def remark(text: str, style: str = "") -> None:
    """Print a line beside the results, on standard error."""
    console(errors=True).print(Text(text, style=style))
