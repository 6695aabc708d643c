"""The command line: every command explains itself, errors are one line, and colours stay where they are."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run

from aftcast.cli import COMMANDS, spread_files
from aftcast.findings import Finding, show
from aftcast.output import console

CONTRACT = (
    "demo | worker | setup | check | privileges | state | simulate | replay | profile | "
    "alerts | forward | explain | dead-letters | version | sql"
)


def test_the_commands_are_those_of_the_contract() -> None:
    assert set(COMMANDS) == set(CONTRACT.split(" | "))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_in_its_first_line_what_it_does(command: str) -> None:
    first = (COMMANDS[command].__doc__ or "").splitlines()[0]
    assert first.endswith((".", ","))
    assert len(first) > 30


def test_help_lists_all_commands_and_shows_no_python() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in shown.stdout
    assert "Traceback" not in shown.stderr


def test_a_mistyped_command_gets_a_suggestion_and_a_code_of_its_own() -> None:
    shown = run("chekc")
    assert shown.returncode == 2
    assert "Did you mean 'check'?" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (("replay", "--inference", "no.ndjson", "--out", "x"), {}, "no.ndjson: there is no such file\n"),
        (
            ("simulate", "--speed", "10"),
            {},
            "--speed above 1 needs --duration: events of the future are refused by every reader\n",
        ),
        (
            ("alerts",),
            {"AFTCAST_CONFIG": "/no/such.toml"},
            "/no/such.toml: cannot be read: no such file or directory\n",
        ),
        (
            ("sql", "SELECT 1"),
            {"AFTCAST_CLICKHOUSE__URL": "ftp://x"},
            'AFTCAST_CLICKHOUSE__URL must be an address that begins with http:// or https:// or chdb:///; got "ftp://x"\n',
        ),
    ],
)
def test_an_error_is_one_line_on_standard_error_and_the_exit_code_is_not_0(
    arguments: tuple[str, ...], environment: dict[str, str], expected: str
) -> None:
    shown = run(*arguments, **environment)
    assert shown.returncode == 1
    assert shown.stderr == expected
    assert not shown.stdout


def test_a_duration_that_is_none_is_named_with_the_option() -> None:
    shown = run("simulate", "--duration", "soon", COLUMNS="200")
    assert shown.returncode == 2
    assert "--duration" in shown.stderr
    assert 'must be a duration above 0, such as "24h"; got "soon"' in shown.stderr


def test_a_reader_that_goes_away_leaves_no_traceback() -> None:
    command = [sys.executable, "-m", "aftcast.cli", "version"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


def test_files_of_a_list_may_follow_one_option() -> None:
    given = [
        "replay",
        "--inference",
        "a",
        "b",
        "--labels",
        "c",
        "--inference",
        "d",
        "--out",
        "e",
        "--history",
    ]
    assert spread_files(given) == [
        "replay", "--inference", "a", "--inference", "b", "--labels", "c", "--inference", "d", "--out", "e",
        "--history",
    ]  # fmt: skip
    assert spread_files(["sql", "--labels", "a", "b"]) == ["sql", "--labels", "a", "b"]


def test_simulated_files_replay_into_figures(tmp_path: Path) -> None:
    assert run("simulate", "--out", str(tmp_path), "--duration", "10m", "--rate", "5").returncode == 0
    out = tmp_path / "result"
    shown = run(
        "replay", "--inference", f"{tmp_path}/inference.ndjson", "--labels", f"{tmp_path}/labels.ndjson",
        "--window", "10m", "--out", str(out), AFTCAST_PANES__WIDTH="10m",  # labels come for days
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert (out / "model_quality.ndjson").read_text("utf-8").count('"segment":""') >= 3
    assert "inference: read" in shown.stdout


def test_no_colour_reaches_a_pipe_or_whoever_asks_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen = console()
    screen.file = io.StringIO()
    assert "\x1b[3" not in _rendered(screen)
    assert "\x1b" not in run("version").stdout


def _rendered(screen: object) -> str:
    from rich.console import Console

    assert isinstance(screen, Console)
    screen.print("red", style="red")
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_findings_show_the_grade_first_and_the_remedy_below(capsys: pytest.CaptureFixture[str]) -> None:
    show([Finding("failure", "kafka", "not reachable", "start it"), Finding("ok", "clickhouse", "reachable")])
    assert capsys.readouterr().out == (
        "failure kafka: not reachable\n        → start it\nok      clickhouse: reachable\n"
    )
