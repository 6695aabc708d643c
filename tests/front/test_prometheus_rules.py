"""Rules and panels that ask Prometheus name metrics that there are; the rules do what their tests say."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aftcast.dashboards import BOARDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker" / "prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
# The page and the code list the same names: tests/front/test_metrics_page.py.
LISTED = re.findall(
    r"^\| `(\w+)` \| (\w+) \| (.+) \|$", (ROOT / "docs" / "metrics.md").read_text("utf-8"), re.M
)
SERVED = {f"{name}_total" if kind == "counter" else name for name, kind, _ in LISTED} | {"up"}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
ALERTS = [rule for rule in RULES if "alert" in rule]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    query.text
    for board in BOARDS
    for panel in board.panels
    for query in panel.queries
    if query.source == "prometheus"
]
PROMTOOL = shutil.which("promtool")
WORDS = {
    *("sum", "max", "rate", "increase", "deriv", "absent", "time", "min_over_time"),
    *("by", "and", "job", "partition", "topic", "target", "m", "h"),
}


def names_in(expression: str) -> Iterator[str]:
    """Yield names of metrics, functions and labels, without texts, numbers and spans of time."""
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    yield from re.findall(r"[A-Za-z_][\w:]*", bare)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_is_about_metrics_that_there_are(expression: str) -> None:
    names = set(names_in(expression))
    assert names & (SERVED | RECORDED)
    assert names <= SERVED | RECORDED | WORDS
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)


def test_counters_are_read_by_their_growth_and_nothing_else_is() -> None:
    for expression in EXPRESSIONS:
        grown = set(re.findall(r"(?:rate|increase)\((\w+)", expression))
        assert grown == {name for name in names_in(expression) if name.endswith("_total")}


def test_alerts_say_how_grave_they_are_what_is_wrong_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    for rule in ALERTS:
        assert re.fullmatch(r"Aftcast[A-Z]\w+", rule["alert"])
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}


def test_what_is_recorded_is_used_or_of_use_to_boards() -> None:
    used = {name for rule in RULES for name in names_in(rule["expr"])}
    assert used >= RECORDED


def test_every_alert_is_tested_and_listed_on_the_page() -> None:
    tests = yaml.safe_load((FOLDER / "rules_test.yml").read_text("utf-8"))["tests"]
    fired = {
        case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")
    }
    silent = {
        case["alertname"] for test in tests for case in test["alert_rule_test"] if not case.get("exp_alerts")
    }
    names = {rule["alert"] for rule in ALERTS}
    assert fired == names
    # Of this one a topic at the bound is silent while another one is told.
    assert silent | {"AftcastRawLagging"} == names
    page = (ROOT / "docs" / "dashboards.md").read_text("utf-8")
    assert re.findall(r"^\| `(Aftcast\w+)`", page, re.M) == [rule["alert"] for rule in ALERTS]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: Debian's package prometheus has it")
@pytest.mark.parametrize(
    "arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")], ids=" ".join
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    assert PROMTOOL is not None
    command = [PROMTOOL, *arguments]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: Debian's package prometheus has it")
def test_promtool_can_read_what_panels_ask(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    command = [PROMTOOL, "check", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def linted(*metrics: tuple[str, str, str]) -> tuple[int, str]:
    """Return what promtool thinks of a page with these metrics."""
    assert PROMTOOL is not None
    lines = (f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n{name} 1\n" for name, kind, meaning in metrics)
    command = [PROMTOOL, "check", "metrics"]
    page = "".join(lines)
    done = subprocess.run(command, input=page, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: Debian's package prometheus has it")
def test_names_and_units_of_all_metrics_are_as_prometheus_wants_them() -> None:
    served = [(f"{name}_total" if kind == "counter" else name, kind, text) for name, kind, text in LISTED]
    assert len(served) > 50
    assert linted(*served) == (0, "")
    assert linted(("aftcast_reads", "counter", "A counter without its suffix."))[0] != 0
    assert linted(("aftcast_lag_milliseconds", "gauge", "A unit that is none."))[0] != 0
