"""Every block of README and docs is held against what it speaks of; what nobody executes says why."""

import ast
import doctest
import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest
import typer
import yaml
from pydantic import BaseModel

from aftcast.cli import COMMANDS, app, spread_files
from aftcast.configuration import Configuration
from aftcast.loading import load
from aftcast.reference.pages import ROOT, Block, Page, pages
from aftcast.reference.shell import SHELL, Command, commands, script
from schemas.records import RawBatch
from streams.alerts.fingerprint import fingerprint
from streams.alerts.kinds import COMMON, EVIDENCE
from streams.decode import Decoder

PAGES = [
    page
    for page in pages()
    if page.name in ("README.md", "CONTRIBUTING.md", "SECURITY.md") or page.name.startswith("docs/")
]
BLOCKS = [block for page in PAGES for block in page.blocks]
SHOWN = {"", "text", "mermaid"}  # what a program prints, or a drawing
RUN_ELSEWHERE = {"java", "go", "diff"}  # need a comment that names the test
LANGUAGES = {*SHOWN, *SHELL, *RUN_ELSEWHERE, "python", "sql", "toml", "json", "yaml"}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROGRAM = typer.main.get_command(app)


def of(*languages: str) -> list[Any]:
    return [pytest.param(block, id=block.place) for block in BLOCKS if block.language in languages]


def blocks_of(markdown: str) -> tuple[Block, ...]:
    return Page("page.md", markdown).blocks


def test_every_block_has_a_language_that_is_known() -> None:
    assert [f"{b.place}: {b.language}" for b in BLOCKS if b.language not in LANGUAGES] == []


def test_what_is_not_run_is_little_and_says_why() -> None:
    executable = [block for block in BLOCKS if block.language not in SHOWN]
    reasons = {block.place: block.not_run for block in executable if block.not_run}
    assert all(len(reason.split()) >= 3 for reason in reasons.values()), reasons
    assert len(reasons) <= len(executable) / 5, reasons
    assert [b.place for b in BLOCKS if b.language in RUN_ELSEWHERE and not b.tested_by] == []


def test_a_test_that_a_comment_names_reads_the_page() -> None:
    for block in (block for block in BLOCKS if block.tested_by):
        text = (ROOT / block.tested_by).read_text(encoding="utf-8")
        assert Path(block.page).name in text, f"{block.place}: {block.tested_by} does not read it"


@pytest.mark.parametrize("block", of(*SHELL))
def test_a_shell_block_is_a_script_of_commands_that_exist(block: Block) -> None:
    checked = subprocess.run(["bash", "-n"], input=script(block), text=True, capture_output=True, check=False)
    assert checked.returncode == 0, f"{block.place}: {checked.stderr}"
    assert script(block), f"{block.place}: no command behind a prompt"
    for command in commands(block):
        check(command)


def check(command: Command) -> None:
    """Raise for a command that the program it names would refuse."""
    words, block = command.words, command.block
    set_here = {word.partition("=")[0]: word.partition("=")[2] for word in command.variables}
    if command.program == "export":
        set_here |= {word.partition("=")[0]: word.partition("=")[2] for word in words[1:]}
    load(environment={name: value for name, value in set_here.items() if "$" not in value})
    if command.program == "aftcast":
        parse(words[1:])
    elif command.program == "make":
        for word in words[1:]:
            name, given, _ = word.partition("=")
            pattern = rf"^{re.escape(name)} \?=" if given else rf"^{re.escape(name)}:"
            assert re.search(pattern, MAKEFILE, re.MULTILINE), f"{block.place}: make knows no {name}"
    elif command.program.startswith("python") and words[1:2] == ("-m",):
        assert importlib.util.find_spec(words[2]), f"{block.place}: no module {words[2]}"
    elif command.program.startswith("python") and len(words) > 1:
        assert block.tested_by or (ROOT / words[1]).is_file(), f"{block.place}: no file {words[1]}"
    elif command.program == "sed":
        change, file = words[-2:]
        _, old, _, _ = change.split("|")
        assert old in (ROOT / file).read_text(encoding="utf-8")
    elif command.program == "curl":
        # Pages of a worker on this machine, and ClickHouse's interface; what they answer has its own tests.
        address = r"http://127\.0\.0\.1:(9464/(metrics|healthz|readyz)|8123/.*)"
        assert all(word in ("-s", "-i") or re.fullmatch(address, word) for word in words[1:])
    elif command.program not in ("export", "cd", "pip"):
        assert block.not_run or block.tested_by, f"{block.place}: say why nobody runs {command.program}"


def parse(arguments: tuple[str, ...]) -> None:
    """Take arguments as the command line does, without doing what they ask for."""
    name, *rest = spread_files(list(arguments))
    known = PROGRAM.commands[name]  # type: ignore[attr-defined]
    if rest not in (["--help"], ["-h"]):
        known.make_context(name, rest)


@pytest.mark.parametrize(
    "line",
    [
        "aftcast workers",
        "aftcast worker --rolle raw",
        "aftcast demo --rate many",
        "aftcast explain",
        "make tests",
        "make DEMO=1 demo",
        "python -m aftcast.nothing",
        "kafka-topics.sh --list",
        "export AFTCAST_JOIN__HOT=1h",
    ],
)
def test_a_command_that_would_fail_is_refused(line: str) -> None:
    (block,) = blocks_of(f"```console\n$ {line}\n```\n")
    (command,) = commands(block)
    with pytest.raises(Exception):  # noqa: B017, PT011  # each in its program's own way
        check(command)


SPOKEN = sorted(
    {
        (text, page.name)
        for page in PAGES
        for _, text in page.code_spans
        if re.match(r"(\S+/)?(aftcast|make|python) ", text)
    }
)


@pytest.mark.parametrize(("text", "page"), SPOKEN)
def test_a_command_within_a_sentence_is_one_that_there_is(text: str, page: str) -> None:
    (command,) = commands(Block(page, 0, "console", f"$ {text}\n"))
    if command.program == "aftcast" and len(command.words) == 2:
        # A sentence speaks of a command without what it requires.
        assert command.words[1] in (*COMMANDS, "--help", "--install-completion")
    else:
        check(command)


def test_variables_that_pages_name_are_settings() -> None:
    known = {
        f"AFTCAST_{section.upper()}__{(field.alias or name).upper()}"
        for section, model in {name: type(value) for name, value in Configuration()}.items()
        if issubclass(model, BaseModel)
        for name, field in model.model_fields.items()
    }
    named = {
        (page.name, found)
        for page in PAGES
        for found in re.findall(r"AFTCAST_[A-Z]+__[A-Z_]*[A-Z]", page.text)
    }
    placeholders = {"AFTCAST_SECTION__KEY", "AFTCAST_MODELS__NAME__KEY"}
    assert len(named) > 5
    assert {one for one in named if one[1] not in known | placeholders} == set()


@pytest.mark.parametrize("block", of("toml"))
def test_a_toml_block_is_a_configuration_that_loads(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "aftcast.toml"
    path.write_text(block.text, encoding="utf-8")
    load(path, environment={})


@pytest.mark.parametrize("block", of("python"))
def test_a_python_block_compiles_its_imports_are_there_and_examples_answer_as_shown(block: Block) -> None:
    if ">>>" in block.text:
        example = doctest.DocTestParser().get_doctest(block.text, {}, block.place, block.page, block.line)
        assert example.examples
        doctest.DebugRunner(verbose=False).run(example)
        return
    tree = ast.parse(block.text, block.place)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert all(importlib.util.find_spec(name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names)


@pytest.mark.parametrize("block", of("json"))
def test_a_json_block_is_json_and_events_are_those_that_the_worker_takes(block: Block) -> None:
    event = json.loads(block.text)
    if not isinstance(event, dict):
        return
    raw = RawBatch("topic", 0, np.array([0]), np.array([4_000_000_000_000]), [b"key"], [block.text.encode()])
    if {"prediction_id", "prediction"} <= set(event):
        assert not Decoder().decode_inference(raw).dead_letters
    elif {"prediction_id", "label"} <= set(event):
        assert not Decoder().decode_labels(raw).dead_letters
    elif {"fingerprint", "status"} <= set(event):
        assert set(event) == {field["name"] for field in contract("alert_event")["fields"]}
        assert fastavro.validate(event, contract("alert_event"))
        assert event["fingerprint"] == fingerprint(event["labels"])
        assert set(event["evidence"]) <= {*COMMON, *EVIDENCE[event["kind"]]}
    elif {"model", "kind", "timestamp"} <= set(event):
        fields = {field["name"]: "default" not in field for field in contract("lifecycle_event")["fields"]}
        assert set(event) <= set(fields)
        assert {name for name, required in fields.items() if required} <= set(event)


def contract(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "schemas" / f"{name}.avsc").read_text(encoding="utf-8"))


@pytest.mark.parametrize("block", of("yaml"))
def test_a_yaml_block_is_yaml(block: Block) -> None:
    assert yaml.safe_load(block.text)


def test_a_comment_before_a_block_is_its_own_alone() -> None:
    first, second = blocks_of(
        "<!-- not run: needs an engine -->\n```console\n$ a\n```\n\n```console\n$ b\n```\n"
    )
    assert (first.not_run, second.not_run) == ("needs an engine", "")
    first, second = blocks_of("<!-- tested by: x.py -->\n\n```go\n```\n\ntext\n\n```go\n```\n")
    assert (first.tested_by, second.tested_by) == ("x.py", "")


def test_commands_are_taken_out_of_pipes_lists_and_redirections() -> None:
    (block,) = blocks_of(
        '```console\n$ A=1 aftcast sql "a | b" | head > x && make demo  # why\noutput\n```\n'
    )
    assert [(c.variables, c.words) for c in commands(block)] == [
        (("A=1",), ("aftcast", "sql", "a | b")),
        ((), ("head",)),
        ((), ("make", "demo")),
    ]
