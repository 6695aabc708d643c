"""`aftcast check` on targets: a secret that is missing, nobody who listens, and one that is well."""

import json
import socket

from aftcast.findings import Finding
from aftcast.forward_checks import forward_findings
from aftcast.loading import load

SECRET = "T00/B00/hunter2hunter2"  # noqa: S105


def looked_at(*tables: dict[str, str], **environment: str) -> list[Finding]:
    configuration = load(environment={"AFTCAST_FORWARD": json.dumps(tables)})
    return forward_findings(configuration, environment)


def test_each_target_is_told_with_what_keeps_alerts_from_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        well, nobody, without = looked_at(
            {"name": "am", "kind": "alertmanager", "url": f"http://127.0.0.1:{port}"},
            {"name": "hook", "kind": "cloudevents", "url": "http://127.0.0.1:1/x"},
            {"name": "oncall", "kind": "pagerduty", "secret_env": "KEY"},
        )
    assert well == Finding("ok", "target am", f"alertmanager, 127.0.0.1:{port} takes connections")
    assert nobody.text == "127.0.0.1:1 is not reachable (connection refused): alerts wait for it"
    assert nobody.remedy == 'check url of [[forward]] "hook", and that the way there is open'
    assert without.text == '[[forward]] "oncall": the variable KEY is not set'
    assert [nobody.grade, without.grade] == ["failure", "failure"]


def test_an_address_that_is_the_secret_is_not_shown() -> None:
    table = {"name": "team", "kind": "slack", "secret_env": "HOOK"}
    (found,) = looked_at(table, HOOK=f"http://127.0.0.1:1/services/{SECRET}")
    assert found.grade == "failure"
    assert "hunter2" not in found.text + found.remedy


def test_a_name_that_nobody_knows_is_told() -> None:
    (found,) = looked_at({"name": "a", "kind": "cloudevents", "url": "http://no-such-host.invalid"})
    assert found.text.startswith("no-such-host.invalid is not reachable (")
