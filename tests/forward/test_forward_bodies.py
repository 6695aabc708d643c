"""What each kind of target is sent, by the rules of its format."""

import re
from datetime import datetime
from pathlib import Path

import orjson
import pytest
from alert_events import START_MS, alert
from hypothesis import given
from hypothesis import strategies as st

from aftcast.configuration import ALERT_NAMES, Forward
from aftcast.failure import Failure
from aftcast.forward.bodies import BODIES, HOLD_MS, TEXTS, Firing, text_of
from aftcast.forward.run import dry_run
from aftcast.forward.targets import open_target
from aftcast.loading import load
from schemas.findings import AlertEvent
from schemas.messages import alert_document

NOW_MS = START_MS + 9_000_000
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3_000)
alerts = st.builds(
    lambda status, severity, model, summary, evidence: alert(
        status, labels={"severity": severity, "model": model}, model=model, summary=summary, evidence=evidence
    ),
    st.sampled_from(["firing", "resolved", "corrected", "retracted"]),
    st.sampled_from(["page", "ticket", "info"]),
    texts,
    texts,
    st.dictionaries(texts, st.none() | st.booleans() | st.floats(allow_nan=False) | texts, max_size=5),
)


def time_ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


@given(alerts, st.booleans())
def test_what_alertmanager_gets_keeps_the_rules_of_its_api(event: AlertEvent, firing: bool) -> None:
    body = BODIES["alertmanager"](event, firing, event.summary, NOW_MS)
    if body is None:
        assert (event.status, firing) == ("corrected", False)
        return
    (posted,) = orjson.loads(orjson.dumps(body))
    assert set(posted) == {"labels", "annotations", "startsAt", "endsAt"}
    assert posted["labels"]["alertname"]
    for names in (posted["labels"], posted["annotations"]):
        assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in names)
        assert all(isinstance(value, str) and value for value in names.values())
    assert time_ms(posted["startsAt"]) <= time_ms(posted["endsAt"])
    assert (time_ms(posted["endsAt"]) > NOW_MS) == firing
    assert time_ms(posted["endsAt"]) == (NOW_MS + HOLD_MS if firing else NOW_MS)


@given(alerts, st.booleans())
def test_what_pagerduty_gets_keeps_its_limits(event: AlertEvent, firing: bool) -> None:
    body = BODIES["pagerduty"](event, firing, event.summary, NOW_MS)
    if not firing:
        resolve = {"event_action": "resolve", "dedup_key": event.fingerprint}
        assert body == (None if event.status == "corrected" else resolve)
        return
    assert isinstance(body, dict)
    payload = body["payload"]
    assert (body["event_action"], body["dedup_key"]) == ("trigger", event.fingerprint)
    assert 1 <= len(payload["summary"]) <= 1_024
    assert payload["source"]
    assert payload["severity"] in {"critical", "error", "warning", "info"}
    assert len(orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)) < 512_000


def test_a_thousand_long_evidences_stay_below_what_pagerduty_takes() -> None:
    long = alert(evidence={f"e{i}": "x" * 10_000 for i in range(1_000)})
    assert len(orjson.dumps(BODIES["pagerduty"](long, True, "s", 0))) < 512_000


@given(alerts, st.booleans())
def test_nothing_in_a_slack_message_can_mention_people_or_link(event: AlertEvent, firing: bool) -> None:
    body = BODIES["slack"](event, firing, event.summary, NOW_MS)
    assert not set("<>") & set(orjson.dumps(body).decode())


def test_a_cloudevent_carries_the_alert_as_it_stands_on_the_topic() -> None:
    event = alert("retracted")
    body = BODIES["cloudevents"](event, False, event.summary, NOW_MS)
    assert isinstance(body, dict)
    assert body.pop("data") == alert_document(event)
    assert body == {
        "specversion": "1.0",
        "id": event.event_id,
        "source": "/aftcast",
        "type": "aftcast.alert.retracted",
        "subject": event.fingerprint,
        "time": "2026-01-01T02:00:00.000Z",
        "datacontenttype": "application/json",
    }


def test_a_correction_changes_what_fires_and_does_not_revive_what_is_over() -> None:
    firing = Firing()
    told = [firing.take(alert(s)) for s in ("corrected", "firing", "corrected", "resolved", "corrected")]
    assert told == [False, True, True, False, False]
    assert firing.take(alert("firing"))
    assert not firing.take(alert("retracted"))
    assert not firing.alerts


def test_a_text_of_ones_own_may_name_every_field_and_times_are_readable() -> None:
    shown = text_of(alert(), " ".join(f"${name}" for name in ALERT_NAMES))
    assert "$" not in shown
    assert "2026-01-01T01:00:00.000Z" in shown
    assert text_of(alert(value=None), "[$value] $$5") == "[] $5"
    assert all(text_of(alert(), template) for template in TEXTS.values())


def test_severities_choose_what_a_target_gets_and_a_dry_run_shows_no_secret() -> None:
    settings = Forward(name="pd", kind="pagerduty", secret_env="KEY", severities=("page",))  # noqa: S106
    target = open_target(settings, dry=True)
    ticket = alert("firing", "Drift", labels={"severity": "ticket"})
    (shown,) = dry_run(iter([ticket, alert()]), [target], NOW_MS)
    assert shown["to"] == "events.pagerduty.com"
    assert shown["body"]["routing_key"] == "***"  # type: ignore[index]


def test_the_page_shows_targets_that_are_accepted_and_lists_what_a_text_may_name(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "forwarding.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "aftcast.toml").write_text(example)
    targets = load(tmp_path / "aftcast.toml", environment={}).forward
    assert [target.kind for target in targets] == ["alertmanager", "pagerduty", "slack", "cloudevents"]
    (named,) = re.findall(r"`text` may name (.*?);", page)
    assert re.findall(r"`\$(\w+)`", named) == list(ALERT_NAMES)


@pytest.mark.parametrize(
    ("fields", "message"),
    [  # the text after the name of the table
        ({"kind": "pagerduty"}, r'needs its routing key: name it by secret_env or secret_file$'),
        ({"kind": "slack", "secret_env": "NO"}, r'the variable NO is not set$'),
        ({"kind": "slack"}, r'needs an address that begins with http:// or https://$'),
        ({"kind": "slack", "secret_env": "BAD"}, r'needs an address that begins'),
        ({"kind": "slack", "secret_file": "/no"}, r'/no cannot be read: no such file'),
        (
            {"kind": "cloudevents", "url": "http://x", "secret_env": "SPLIT"},
            r'the secret holds characters that no header may$',
        ),
    ],
)  # fmt: skip
def test_a_secret_or_address_that_is_missing_is_named_and_never_shown(fields, message) -> None:
    environment = {"BAD": "hunter2", "SPLIT": "a\r\nX: hunter2"}
    with pytest.raises(Failure, match=r'^\[\[forward\]\] "t": ' + message) as failed:
        open_target(Forward(name="t", **fields), environment)
    assert "hunter2" not in str(failed.value)


def test_a_secret_of_a_file_is_used_without_its_line_end_and_shows_in_no_text(tmp_path) -> None:
    (tmp_path / "token").write_text("hunter2\n")
    target = open_target(
        Forward(name="t", kind="cloudevents", url="http://host:1/x", secret_file=str(tmp_path / "token"))
    )
    assert target.headers["Authorization"] == "Bearer hunter2"
    assert "hunter2" not in repr(target) + str(target) + target.place
