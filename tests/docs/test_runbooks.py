"""Every kind of alert and every Prometheus rule has its runbook, and alerts lead to them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from aftcast.configuration import Configuration
from aftcast.loading import ConfigurationError, load
from aftcast.reference.pages import ROOT, Page
from schemas.findings import Trouble
from schemas.settings import MonitorSettings
from streams.alerts.kinds import KINDS
from streams.monitor import Monitor
from streams.monitor.snapshot import fingerprint

FOLDER = ROOT / "docs" / "runbooks"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "docker" / "prometheus" / "rules.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
HEADINGS = ["What it means", "How urgent", "Look first", "What to do", "How it ends"]
# | `kind` | `alertname` | severity |, held against the code by tests/alerts/test_alerts_page.py.
SECTION = (ROOT / "docs" / "alerts.md").read_text("utf-8").split("## Kinds\n")[1].split("\n## ")[0]
LISTED = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`|.+?) \| (.+?) \|", SECTION, re.M)


def test_every_kind_and_every_rule_has_its_page_and_every_page_its_alert() -> None:
    assert set(PAGES) == {*KINDS, *(rule["alert"] for rule in RULES), "index"}


def test_the_kinds_are_those_of_the_page_on_alerts() -> None:
    assert {kind for kind, _, _ in LISTED} == set(KINDS)


@pytest.mark.parametrize("name", sorted(set(PAGES) - {"index"}))
def test_a_runbook_answers_the_five_questions_in_their_order(name: str) -> None:
    assert re.findall(r"^## (.+)$", PAGES[name], re.M) == HEADINGS
    assert any(block.language in ("sql", "console") for block in Page(name, PAGES[name]).blocks)


@pytest.mark.parametrize(("kind", "alertname", "severity"), [row for row in LISTED if row[1]])
def test_a_runbook_names_its_alerts_with_their_severity(kind: str, alertname: str, severity: str) -> None:
    assert re.search(rf"`{alertname}` \({severity}\)", PAGES[kind])
    (row,) = (line for line in PAGES["index"].splitlines() if f"[{kind}]({kind}.md)" in line)
    assert f"`{alertname}`" in row
    assert severity in row


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_of_prometheus_leads_to_its_page_which_says_how_grave_it_is(rule: dict) -> None:
    name, severity = rule["alert"], rule["labels"]["severity"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    assert f"Prometheus, {severity}: " in PAGES[name]
    assert f"| [{name}]({name}.md) | {severity} |" in PAGES["index"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_alert_leads_to_a_page_of_the_repository_unless_told_otherwise(kind: str) -> None:
    assert (ROOT / MonitorSettings().runbook_url.replace("$kind", kind)).is_file()


def alert_of(settings: MonitorSettings) -> str:
    monitor = Monitor(settings)
    monitor.absorb_trouble(Trouble("state_gap", "label-events[0]", "gone", 1))
    (alert,) = monitor.advance([]).alerts
    return alert.runbook_url


def test_alerts_of_the_monitor_carry_the_address_that_is_configured() -> None:
    assert alert_of(Configuration().monitor_settings()) == "docs/runbooks/state_gap.md"
    given = load(environment={"AFTCAST_ALERTS__RUNBOOK_URL": "https://wiki/$kind?from=$alertname"})
    assert alert_of(given.monitor_settings()) == "https://wiki/state_gap?from=StateGap"
    assert alert_of(load(environment={"AFTCAST_ALERTS__RUNBOOK_URL": ""}).monitor_settings()) == ""


@pytest.mark.parametrize(
    ("given", "named"), [("https://wiki/$kinds", "$kinds"), ("$model", "$model"), ("100$", "$")]
)
def test_a_pattern_with_another_name_is_refused(given: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "aftcast.toml"
    path.write_text(f'[alerts]\nrunbook_url = "{given}"\n', encoding="utf-8")
    expected = f"2: [alerts] runbook_url must name $kind and $alertname only; {named} is neither"
    with pytest.raises(ConfigurationError, match=re.escape(expected)):
        load(path, environment={})


def test_another_place_for_runbooks_does_not_begin_detection_anew() -> None:
    moved = replace(MonitorSettings(), runbook_url="https://wiki/$kind")
    assert fingerprint(moved) == fingerprint(MonitorSettings())
    assert fingerprint(replace(moved, smallest_change=0.1)) != fingerprint(moved)
