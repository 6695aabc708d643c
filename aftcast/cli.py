"""The command line: one application, its commands, and errors as one line."""

import os
import sys
from collections.abc import Callable

import typer

from aftcast.commands.alerts import alerts
from aftcast.commands.check import check
from aftcast.commands.dead_letters import dead_letters
from aftcast.commands.demo import demo
from aftcast.commands.explain import explain
from aftcast.commands.forward import forward
from aftcast.commands.privileges import privileges
from aftcast.commands.profile import profile
from aftcast.commands.replay import replay
from aftcast.commands.setup import setup
from aftcast.commands.simulate import simulate
from aftcast.commands.sql import sql
from aftcast.commands.state import state
from aftcast.commands.version import version
from aftcast.commands.worker import worker
from aftcast.failure import Failure
from aftcast.output import remark

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "worker": worker,
    "setup": setup,
    "check": check,
    "privileges": privileges,
    "state": state,
    "simulate": simulate,
    "replay": replay,
    "profile": profile,
    "alerts": alerts,
    "forward": forward,
    "explain": explain,
    "dead-letters": dead_letters,
    "sql": sql,
    "version": version,
}

app = typer.Typer(
    name="aftcast",
    help="Watch machine-learning models: join predictions with late labels, and say when one gets worse.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


FILE_LISTS = ("--inference", "--labels", "--lifecycle")


def spread_files(arguments: list[str]) -> list[str]:
    """Return the arguments with an option before each file of a list.

    Examples
    --------
    >>> spread_files(["replay", "--inference", "a", "b", "--out", "c"])
    ['replay', '--inference', 'a', '--inference', 'b', '--out', 'c']
    """
    if arguments[:1] not in (["replay"], ["profile"]):
        return arguments
    spread: list[str] = []
    option = ""
    for argument in arguments:
        if argument.startswith("-"):
            option = argument if argument in FILE_LISTS else ""
        elif option and spread[-1] != option:
            spread.append(option)
        spread.append(argument)
    return spread


def main() -> None:
    """Run the command line; exit code 0 only if the command did what it was asked to."""
    try:
        app(spread_files(sys.argv[1:]))
    except Failure as failure:
        for line in str(failure).splitlines():
            remark(line, style="red")
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("AFTCAST_TRACEBACK"):
            raise
        text = " ".join(str(error).split()) or "no text"
        remark(f"{type(error).__name__}: {text} (AFTCAST_TRACEBACK=1 shows where)", style="red")
        sys.exit(1)


if __name__ == "__main__":
    main()
