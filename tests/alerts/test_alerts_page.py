"""The page on alerts lists the fields of the contract, the keys of a rule, and every alert there is."""

import json
from dataclasses import fields
from pathlib import Path

from schemas.findings import Trouble
from schemas.settings import RuleSettings
from streams.alerts.dead_letters import DeadLetters
from streams.alerts.drifts import DriftAlert
from streams.alerts.labels import HorizonTooShort, LabelsLate
from streams.alerts.silence import Silence
from streams.alerts.troubles import Troubles
from streams.worker.gap_troubles import STATE_GAP
from streams.worker.placement import PARTITIONER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")


def first_cells(title: str) -> list[str]:
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")][2:]
    return [name.strip() for cell in rows for name in cell.split(",")]


def test_fields_are_those_of_the_contract_in_its_order_or_grouped() -> None:
    contract = json.loads((ROOT / "schemas" / "alert_event.avsc").read_text(encoding="utf-8"))
    assert first_cells("Fields") == [field["name"] for field in contract["fields"]]


def test_rule_keys_are_those_of_the_settings() -> None:
    assert sorted(first_cells("Rules")) == sorted(
        field.name.removesuffix("_ms") for field in fields(RuleSettings)
    )


def test_every_alert_that_needs_no_rule_is_listed_with_its_severity() -> None:
    troubles = Troubles()
    troubles.absorb(Trouble(PARTITIONER, "label-events", "", 0))
    troubles.absorb(Trouble(STATE_GAP, "label-events[0]", "", 0))
    lives = [
        *DriftAlert("m", "1", pane_width_ms=1).lives,
        Silence("m", None).life,
        Silence("m", "1").life,
        LabelsLate("m", "1").life,
        HorizonTooShort("m", "1").life,
        DeadLetters(0.05).life,
        *troubles.lives.values(),
    ]
    for subject in (life.subject for life in lives):
        assert f"| `{subject.kind}` | `{subject.alertname}` | {subject.severity} |" in PAGE
