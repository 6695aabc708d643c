"""The configuration: what is accepted, what is refused and in which words, and what the docs list."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from aftcast.configuration import Configuration, Detector, Forward, Model, Rule
from aftcast.loading import ConfigurationError, load
from aftcast.quantities import duration_ms, duration_text, size_bytes, size_text
from aftcast.toml_lines import key_lines
from schemas.figures import MODEL_QUALITY_COLUMNS
from schemas.settings import HOUR_MS, JoinSettings, MonitorSettings, RuleSettings

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"

EXAMPLE = """
[kafka]
bootstrap_servers = "localhost:9092"
[schema_registry]
url = ""
[clickhouse]
url = "http://localhost:8123"
[join]
hot_horizon = "24h"
max_waiting_memory = "1GB"
cold_interval = "1m"
[panes]
width = "60s"
[detection]
maturity_horizon = "auto"
false_alarms_per_month = 1.0
[metrics]
port = 9464
[[rules]]
name = "accuracy-low"
model = "*"
metric = "accuracy"
on = "mature"
window = "1h"
below = 0.90
min_labelled = 100
severity = "page"
runbook_url = ""
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "aftcast.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(tmp_path: Path, text: str = "", **environment: str) -> str:
    path = written(tmp_path, text) if text else None
    with pytest.raises(ConfigurationError) as refused:
        load(path, environment=environment)
    return str(refused.value).replace(str(tmp_path) + "/", "")


def test_nothing_configured_gives_the_defaults_of_the_plain_settings() -> None:
    configuration = load(environment={})
    assert configuration.join_settings() == JoinSettings()
    assert configuration.monitor_settings() == MonitorSettings(learn_horizon=True)


def test_the_example_of_the_contract_is_accepted_and_means_the_defaults(tmp_path: Path) -> None:
    configuration = load(written(tmp_path, EXAMPLE), environment={})
    assert configuration.monitor_settings().rules == (
        RuleSettings(name="accuracy-low", metric="accuracy", below=0.9, window_ms=HOUR_MS),
    )
    assert configuration.kafka == Configuration().kafka


def test_automatic_maturity_is_learnt_and_one_that_is_given_is_not() -> None:
    assert load(environment={}).monitor_settings().learn_horizon
    given = load(environment={"AFTCAST_DETECTION__MATURITY_HORIZON": "6h"}).monitor_settings()
    assert (given.learn_horizon, given.maturity_horizon_ms) == (False, 6 * HOUR_MS)


def test_command_line_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    path = written(tmp_path, '[metrics]\nport = 1\n[kafka]\ngroup = "file"\n[clickhouse]\nuser = "file"\n')
    configuration = load(
        path,
        environment={"AFTCAST_METRICS__PORT": "2", "AFTCAST_KAFKA__GROUP": "environment"},
        options={"metrics": {"port": 3}, "kafka": {"group": None}},
    )
    assert configuration.metrics.port == 3
    assert configuration.kafka.group == "environment"
    assert configuration.clickhouse.user == "file"
    assert configuration.clickhouse.database == "aftcast"


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    path = written(tmp_path, "[metrics]\nport = 1\n")
    assert load(environment={"AFTCAST_CONFIG": str(path)}).metrics.port == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '\n\n[join]\nhot_horizon = "soon"\n',
            'aftcast.toml:4: [join] hot_horizon must be a duration above 0, such as "24h"; got "soon"',
        ),
        (
            '[join]\nhot_horizn = "1h"\n',
            'aftcast.toml:2: [join] hot_horizn is not known; did you mean "hot_horizon"?',
        ),
        ("[jion]\n", 'aftcast.toml:1: [jion] is not known; did you mean "join"?'),
        (
            '[join]\nwidth = "60s"\n',
            "aftcast.toml:2: [join] width is not known here; it belongs into [panes]",
        ),
        ('[metrics]\nport = "many"\n', 'aftcast.toml:2: [metrics] port must be a whole number; got "many"'),
        ("metrics.port = 65536\n", "aftcast.toml:1: [metrics] port must be at most 65535; got 65536"),
        (
            '[models.fraud]\nimplicit_label = "0"\nimplicit_after = "25h"\n',
            "aftcast.toml:3: [models.fraud] implicit_after must not be longer than [join] hot_horizon, 86400"
            " s; got 90000 s",
        ),
        (
            '[join]\nhot_horizon = "1h"\n[models.fraud]\nimplicit_label = "0"\n',
            "aftcast.toml:3: [models.fraud] implicit_after must not be longer than [join] hot_horizon, 3600"
            " s; got 86400 s",
        ),
        (
            '[models.fraud]\nimplicit_after = "1h"\n',
            "aftcast.toml:2: [models.fraud] implicit_after has no effect without implicit_label; got 3600 s",
        ),
        (
            "[models.fraud]\nimplicit_label = 0\n",
            "aftcast.toml:2: [models.fraud] implicit_label must be text in quotes; got 0",
        ),
        (
            '[models.price]\ntask = "regression"\nimplicit_label = "none"\n',
            "aftcast.toml:3: [models.price] implicit_label must be a number in quotes, since task is"
            ' regression; got "none"',
        ),
        (
            '[models.fraud]\ntask = "binari"\n',
            'aftcast.toml:2: [models.fraud] task must be one of "classification", "binary", "multiclass" or'
            ' "regression"; got "binari"',
        ),
        (
            '[privacy]\nhash = ["email"]\n',
            "aftcast.toml:2: [privacy] hash[0] must be one of features.NAME, segments.NAME, attributes.NAME, "
            'prediction_id, request_id, trace_id, source, actor, message; got "email"',
        ),
        (
            '[[rules]]\nname = "a"\nmetric = "mae"\nabove = 1\n[[rules]]\nname = "b"\nmetric = "acuracy"\n',
            "aftcast.toml:7: [[rules]] metric must be a column of model_quality that holds a figure, such as"
            ' accuracy, coverage or mae; got "acuracy"',
        ),
        (
            '[[rules]]\nname = "a"\nmetric = "mae"\n',
            'aftcast.toml:1: [[rules]] "a" must have exactly one of below and above; got none',
        ),
        (
            '[[rules]]\nname = "a"\nmetric = "mae"\nabove = 1\nbelow = 1\n',
            'aftcast.toml:1: [[rules]] "a" must have exactly one of below and above; got both',
        ),
        (
            '[[rules]]\nname = "a"\nmetric = "mae"\nabove = 1\nwindow = "90s"\n',
            "aftcast.toml:5: [[rules]] window must be a multiple of [panes] width, 60 s; got 90 s",
        ),
        ('[[rules]]\nname = "a"\n', "aftcast.toml:1: [[rules]] metric is missing"),
        (
            '[topics]\nlabels = "inference-events"\n',
            'aftcast.toml:2: [topics] labels must differ from inference; got "inference-events"',
        ),
        (
            '[join]\nhot_horizon = "1s"\n',
            "aftcast.toml:2: [join] hot_horizon must not be shorter than [panes] width; got 1 s",
        ),
        (
            '[checkpoints]\ninterval = "61s"\n',
            "aftcast.toml:2: [checkpoints] interval must not be longer than 60 s; got 61 s",
        ),
        (
            '[[forward]]\nname = "am"\nkind = "alertmanager"\n',
            'aftcast.toml:1: [[forward]] "am" must have a url; got kind alertmanager',
        ),
        (
            '[[forward]]\nname = "a"\nkind = "slack"\ntext = "$sumary"\n',
            "aftcast.toml:4: [[forward]] text must name fields of an alert only, such as $summary; $sumary is"
            ' none; got "$sumary"',
        ),
        (
            '[[forward]]\nname = "a"\nkind = "pagerduty"\ntimeout = "61s"\n',
            "aftcast.toml:4: [[forward]] timeout must not be longer than 60 s; got 61 s",
        ),
        (
            "[join\n",
            "aftcast.toml: is no valid TOML: Expected ']' at the end of a table declaration (at line 1,"
            " column 6)",
        ),
    ],
)
def test_a_refusal_names_file_line_key_rule_and_value(tmp_path: Path, text: str, expected: str) -> None:
    assert refusal(tmp_path, text) == expected


def test_every_wrong_key_is_named_at_once_each_on_its_line(tmp_path: Path) -> None:
    lines = refusal(tmp_path, '[join]\nhot_horizon = 5\n[panes]\nwidth = "x"\n').splitlines()
    assert [line.split(": ")[0] for line in lines] == ["aftcast.toml:2", "aftcast.toml:4"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"AFTCAST_JOIN__HOT_HORIZON": "soon"},
            'AFTCAST_JOIN__HOT_HORIZON must be a duration above 0, such as "24h"; got "soon"',
        ),
        ({"AFTCAST_JION__X": "1"}, 'AFTCAST_JION__X is not known; did you mean "join"?'),
        (
            {"AFTCAST_JOIN__HOT_HORIZN": "1h"},
            'AFTCAST_JOIN__HOT_HORIZN is not known; did you mean "hot_horizon"?',
        ),
        (
            {"AFTCAST_RULES": '[{"name": "a", "metric": "x", "below": 1}]'},
            "AFTCAST_RULES[0].metric must be a column of model_quality that holds a figure, such as accuracy,"
            ' coverage or mae; got "x"',
        ),
    ],
)
def test_a_refusal_of_the_environment_names_the_variable(environment: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(environment=environment)
    assert str(refused.value) == expected


def test_other_variables_with_our_prefix_are_nobodys_configuration() -> None:
    assert load(environment={"AFTCAST_HOME": "/opt", "HOME": "/"}) == Configuration()


def test_names_of_models_keep_their_case_in_the_environment() -> None:
    assert load(environment={"AFTCAST_MODELS__Fraud__TASK": "binary"}).models["Fraud"].task == "binary"


@pytest.mark.parametrize("url", ["http://user:hunter2@host:8123", "https://hunter2@host"])
def test_a_password_in_an_address_is_refused_and_never_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must not hold a user or password") as refused:
        load(environment={"AFTCAST_CLICKHOUSE__URL": url})
    assert "hunter2" not in str(refused.value)


def test_a_password_of_the_wrong_type_is_not_shown(tmp_path: Path) -> None:
    assert "123456" not in refusal(tmp_path, "[kafka]\nsasl_password = 123456\n")


def test_passwords_are_masked_in_every_text_form_and_reach_the_client() -> None:
    configuration = load(
        environment={"AFTCAST_KAFKA__SASL_PASSWORD": "hunter2", "AFTCAST_CLICKHOUSE__PASSWORD": "hunter2"}
    )
    assert "hunter2" not in repr(configuration) + str(configuration) + configuration.model_dump_json()
    assert configuration.kafka.client_options()["sasl.password"] == "hunter2"
    assert configuration.kafka.client_options()["bootstrap.servers"] == "localhost:9092"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.toml: cannot be read: no such file or directory$"):
        load(tmp_path / "no.toml", environment={})


def test_rules_may_use_every_figure_of_model_quality_but_not_the_flag_and_the_text() -> None:
    for metric in MODEL_QUALITY_COLUMNS:
        rule = json.dumps([{"name": "r", "metric": metric, "below": 1}])
        if metric in ("is_mature", "nowcast_reason"):
            with pytest.raises(ConfigurationError):
                load(environment={"AFTCAST_RULES": rule})
        else:
            assert load(environment={"AFTCAST_RULES": rule}).rules[0].metric == metric


@given(st.integers(1, 10**12))
def test_durations_survive_being_written_and_read(span_ms: int) -> None:
    assert duration_ms(duration_text(span_ms)) == span_ms


@given(st.integers(1, 10**15))
def test_sizes_survive_being_written_and_read(size: int) -> None:
    assert size_bytes(size_text(size)) == size


@pytest.mark.parametrize(
    "text", ["", "0s", "24", "h", "-1h", "1 h", "1h 30m", "0.5ms", "1y", 60, None, "9" * 30 + "h"]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^must be a duration above 0"):
        duration_ms(text)


@pytest.mark.parametrize("text", ["", "0GB", "1", "GB", "-1GB", "1XB", 5])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^must be a size above 0"):
        size_bytes(text)


def test_lines_are_right_after_texts_and_lists_that_run_over_several_lines() -> None:
    text = 'a = """\nb = 1\n[c]\n"""\nd = [\n  1,\n]\n[e."f.g"]\nh.i = 2\n[[r]]\n[r.s]\nt = 3\n[[r]]\nt = 4\n'
    lines = key_lines(text)
    assert lines["a",] == 1
    assert ("b",) not in lines
    assert lines["d",] == 5
    assert lines["e", "f.g", "h", "i"] == 9
    assert lines["r", 0, "s", "t"] == 12
    assert lines["r", 1, "t"] == 14


def shown(field: FieldInfo, name: str) -> str:  # noqa: PLR0911
    """Return a default as the documentation shows it, from the code alone."""
    default = field.default
    if field.is_required():
        return "required"
    if default is None or isinstance(default, SecretStr):
        return '`"auto"`' if field.alias == "maturity_horizon" else "none"
    if isinstance(default, tuple):
        return ", ".join(detector.name for detector in default) or "none"
    if isinstance(default, dict):
        return "none"
    if name.endswith("_ms"):
        return f'`"{duration_text(default)}"`'
    if name.endswith("_bytes"):
        return f'`"{size_text(default)}"`'
    return f"`{json.dumps(default)}`"


def keys_of_the_code() -> dict[tuple[str, str], tuple[str, str]]:
    holders: dict[str, type[BaseModel]] = {
        f"[{name}]": type(section) for name, section in Configuration() if isinstance(section, BaseModel)
    }
    holders |= {
        "[models.NAME]": Model,
        "[[rules]]": Rule,
        "[[forward]]": Forward,
        "[[detection.detectors]]": Detector,
    }
    return {
        (section, field.alias or name): (shown(field, name), str(field.description))
        for section, model in holders.items()
        for name, field in model.model_fields.items()
    }


def test_the_documentation_lists_the_keys_defaults_and_meanings_of_the_code() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (.+?) \| (.+?) \|$", DOCS.read_text("utf-8"), re.M)
    documented = {(section, key): (default, meaning) for section, key, default, meaning in rows}
    assert len(rows) == len(documented)
    assert documented == keys_of_the_code()
