"""`aftcast check` as a person sees it: coloured at a terminal, and plain where that is asked for."""

import os
import pty
import re
import subprocess
import sys

COLOURED = "\x1b\\[[0-9;]*3[0-7]m"


def at_a_terminal(*arguments: str, **more: str) -> tuple[int, str]:
    """Return the exit code and what is shown."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "aftcast.cli", *arguments]
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(command, env=plain | {"TERM": "xterm"} | more, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(30), shown.decode()


def test_a_failure_is_red_at_a_terminal_and_plain_where_no_colour_is_wanted() -> None:
    wrong = {"AFTCAST_JOIN__HOT_HORIZON": "soon"}
    code, shown = at_a_terminal("check", **wrong)
    assert code == 1
    assert "\x1b[1;31mfailure" in shown
    assert "docs/configuration.md lists every key" in shown
    code, shown = at_a_terminal("check", NO_COLOR="1", **wrong)
    assert code == 1
    assert "failure" in shown
    assert not re.search(COLOURED, shown)
