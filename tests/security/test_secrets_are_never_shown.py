"""No secret in any output: every command is run with marked secrets against closed ports and bad files."""

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aftcast.cli import COMMANDS, app
from aftcast.configuration import Configuration
from aftcast.forward.targets import open_target
from aftcast.loading import ConfigurationError, load
from aftcast.secret_files import is_secret
from aftcast.working import worker_settings
from sinks.raw_blocks import RawTopics
from sinks.raw_writer import RawWriterSettings

MARK = "hunter2-hunter2-hunter2"
CLOSED = "127.0.0.1:1"
SECRETS = {
    f"AFTCAST_{section}__{name}".upper(): MARK
    for section, holder in Configuration()
    for name, field in getattr(type(holder), "model_fields", {}).items()
    if is_secret(field)
}
ENVIRONMENT = SECRETS | {
    "AFTCAST_KAFKA__BOOTSTRAP_SERVERS": CLOSED,
    "AFTCAST_KAFKA__SECURITY_PROTOCOL": "sasl_plaintext",
    "AFTCAST_KAFKA__SASL_MECHANISM": "PLAIN",
    "AFTCAST_KAFKA__SASL_USERNAME": "u",
    "AFTCAST_CLICKHOUSE__URL": f"http://{CLOSED}",
    "AFTCAST_SCHEMA_REGISTRY__URL": f"http://{CLOSED}",
    "AFTCAST_SCHEMA_REGISTRY__USER": "u",
    "AFTCAST_PRIVACY__HASH": '["request_id"]',
    "AFTCAST_METRICS__PORT": "0",
    "AFTCAST_FORWARD": json.dumps(
        [{"name": "t", "kind": "cloudevents", "url": f"http://{CLOSED}", "secret_env": "T"}]
    ),
    "T": MARK,
}
# What a command needs to get as far as its secrets; demo has Kafka and ClickHouse of its own, without any.
ARGUMENTS: dict[str, list[str]] = {
    "setup": [],
    "check": ["--json"],
    "privileges": ["--json"],
    "state": ["--json"],
    "simulate": ["--rate", "50", "--duration", "1s"],
    "replay": ["--inference", "events.ndjson", "--out", "out"],
    "profile": ["--inference", "events.ndjson", "--out", "reference.json"],
    "alerts": [],
    "explain": ["1f3b"],
    "dead-letters": [],
    "sql": ["SELECT 1"],
    "version": [],
}
UNTIL_STOPPED = {"worker": ["--role", "raw"], "forward": []}


def test_every_command_is_run_here_but_the_one_without_secrets() -> None:
    assert ARGUMENTS.keys() | UNTIL_STOPPED.keys() == COMMANDS.keys() - {"demo"}
    assert len(SECRETS) >= 7


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in ("kafka_admin", "topic_reading", "state_reading", "key_checks"):
        monkeypatch.setattr(f"aftcast.{module}.ANSWER_WITHIN_S", 0.3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.ndjson").write_text("{}\n")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_command_shows_no_secret_whatever_fails(
    command: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    result = CliRunner().invoke(app, [command, *ARGUMENTS[command]], env=ENVIRONMENT)
    logging.getLogger().handlers[:] = [caplog.handler]
    shown = result.output + "".join(capfd.readouterr()) + caplog.text
    if result.exception is not None:
        shown += repr(result.exception) + "".join(traceback.format_exception(result.exception))
    assert shown.strip()
    assert MARK not in shown


@pytest.mark.parametrize("command", UNTIL_STOPPED)
def test_what_runs_until_it_is_stopped_shows_none_either(command: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "aftcast.cli", command, *UNTIL_STOPPED[command]],
            env=os.environ | ENVIRONMENT | {"AFTCAST_TRACEBACK": "1"},
            stdout=output,
            stderr=output,
            cwd=tmp_path,
        )
    try:
        ends_s = time.monotonic() + 30
        while CLOSED not in log.read_text() and process.poll() is None and time.monotonic() < ends_s:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        process.kill()
    shown = log.read_text()
    assert CLOSED in shown
    assert MARK not in shown


BAD = [
    f'[clickhouse]\npassword = "{MARK}',
    f'[clickhouse]\npassword = ["{MARK}"]\n',
    f'[clickhouse]\npassword = {{ is = "{MARK}" }}\n',
    f'[clickhouse]\npasswort = "{MARK}"\n',
    f'[kafka]\nsasl_password = "{MARK}"\nsasl_password_file = "x"\n',
    f'[metrics]\ntoken = "{MARK} {MARK}"\n',
    f'[clickhouse]\nurl = "http://u:{MARK}@host:8123"\n',
    f'[schema_registry]\nurl = "https://u:{MARK}@host"\n',
    f'clickhouse = ["{MARK}"]\n',
    f'[privacy]\nhash = "source"\nkey = "{MARK}"\n',
]


@pytest.mark.parametrize("text", BAD)
def test_a_configuration_that_is_refused_is_refused_without_its_secrets(text: str, tmp_path: Path) -> None:
    file = tmp_path / "aftcast.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load(file, environment={})
    assert MARK not in "".join(traceback.format_exception(refused.value)) + repr(refused.value)


@pytest.mark.parametrize(
    "variables",
    [
        {"AFTCAST_CLICKHOUSE": f'{{"password": "{MARK}"'},
        {"AFTCAST_CLICKHOUSE": f'["{MARK}"]'},
        {"AFTCAST_METRICS__TOKEN": MARK[:15]},
        {"AFTCAST_KAFKA__SASL_PASSWORD": f'["{MARK}"]'},
    ],
)
def test_variables_that_are_refused_likewise(variables: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(environment=variables)
    assert MARK[:15] not in "".join(traceback.format_exception(refused.value))


def test_no_object_that_holds_a_secret_shows_it() -> None:
    configuration = load(environment={name: value for name, value in ENVIRONMENT.items() if name != "T"})
    kafka = configuration.kafka.client_options()
    holders: list[object] = [
        configuration,
        worker_settings(configuration),
        RawWriterSettings(kafka, RawTopics()),
        configuration.privacy.settings(),
        open_target(configuration.forward[0], {"T": MARK}),
    ]
    assert MARK in repr(kafka)
    for holder in holders:
        assert MARK not in repr(holder) + str(holder), type(holder)
    assert MARK not in configuration.model_dump_json()
    assert MARK.encode() in pickle.dumps(configuration)  # it is there all along
