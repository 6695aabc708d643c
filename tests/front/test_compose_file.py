"""The compose file and the image, checked without an engine: what would fail or leak only when started."""

import re
import runpy
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from compose_rules import VARIABLE, problems

from aftcast.cli import COMMANDS
from aftcast.dashboards.grafana import PLUGIN, PLUGIN_VERSION
from aftcast.kafka_broker import KAFKA_VERSION
from aftcast.loading import load

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CHECKER = shutil.which("check-jsonschema")
OWN = [name for name, service in SERVICES.items() if "build" in service]
EXAMPLE = dict(
    line.split("=", 1) for line in (ROOT / ".env.example").read_text("utf-8").splitlines() if "=" in line
)


def test_the_file_breaks_no_rule() -> None:
    assert problems(COMPOSE, ROOT, EXAMPLE) == []


FAULTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "worker waits for nobody, which is not there": lambda s: s["worker"]["depends_on"].update(
        nobody={"condition": "service_healthy"}
    ),
    "setup waits for kafka to be healthy, which has no health check": lambda s: s["kafka"].pop("healthcheck"),
    "raw waits for the end of setup, which is always started again": lambda s: s["setup"].update(
        restart="always"
    ),
    "worker waits for registry, which a profile may leave out": lambda s: s["worker"]["depends_on"].update(
        registry={"condition": "service_healthy"}
    ),
    "grafana has an image without a version": lambda s: s["grafana"].update(image="grafana/grafana:latest"),
    "raw has no limit of memory": lambda s: s["raw"].pop("mem_limit"),
    "clickhouse may write into its own file system": lambda s: s["clickhouse"].update(read_only=False),
    "kafka has rights that it does not need": lambda s: s["kafka"].update(cap_drop=["NET_RAW"]),
    "grafana mounts ./nowhere, which is not there": lambda s: s["grafana"]["volumes"].append(
        "./nowhere:/x:ro"
    ),
    "grafana opens 3000:3000 to everybody": lambda s: s["grafana"].update(ports=["3000:3000"]),
    "port 9090 is opened 2 times": lambda s: s["grafana"].update(ports=["127.0.0.1:9090:3000"]),
    "volume more is not declared": lambda s: s["raw"]["volumes"].append("more:/more"),
    "volume prometheus is not used": lambda s: s["prometheus"].pop("volumes"),
    "variable X is not in .env.example": lambda s: s["raw"]["environment"].update(A="${X:-1}"),
    "variable GRAFANA_ADMIN_PASSWORD has no default and no word about what to do": lambda s: s["grafana"][
        "environment"
    ].update({"GF_SECURITY_ADMIN_PASSWORD": "${GRAFANA_ADMIN_PASSWORD}"}),
    "variable CLICKHOUSE_PASSWORD has a default": lambda s: s["clickhouse"]["environment"].update(
        {"AFTCAST_PASSWORD": "${CLICKHOUSE_PASSWORD:-secret}"}
    ),
    "grafana has GF_SECURITY_ADMIN_PASSWORD written down": lambda s: s["grafana"]["environment"].update(
        {"GF_SECURITY_ADMIN_PASSWORD": "admin"}
    ),
    "variable SCHEMA_REGISTRY_URL of .env.example is used nowhere": lambda s: [
        service.get("environment", {}).pop("AFTCAST_SCHEMA_REGISTRY__URL", None) for service in s.values()
    ],
}


@pytest.mark.parametrize("told", FAULTS)
def test_a_fault_in_the_file_is_told(told: str) -> None:
    compose = deepcopy(COMPOSE)
    FAULTS[told](compose["services"])
    assert told in problems(compose, ROOT, EXAMPLE)


def test_an_example_with_a_value_or_a_name_that_nothing_uses_is_told() -> None:
    assert problems(COMPOSE, ROOT, EXAMPLE | {"OLD": "", "CLICKHOUSE_PASSWORD": "x"}) == [
        "variable CLICKHOUSE_PASSWORD has a value in .env.example",
        "variable OLD of .env.example is used nowhere",
    ]


@pytest.mark.skipif(CHECKER is None, reason="check-jsonschema is not installed; it needs a click of its own")
def test_the_file_follows_the_schema_of_compose() -> None:
    assert CHECKER is not None
    command = [CHECKER, "--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_on_is_started_again_and_says_whether_it_is_well(name: str) -> None:
    service = SERVICES[name]
    if name == "setup":
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    # The simulator only sends: while it runs it is well.
    if name != "simulator":
        assert {"test", "interval", "timeout", "retries", "start_period"} <= service["healthcheck"].keys()


def test_what_nobody_needs_to_try_it_waits_for_its_profile() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"simulator": ["simulate"], "registry": ["registry"]}


def test_kafka_is_the_version_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_metrics_are_reachable_inside_of_the_network_and_published_nowhere() -> None:
    for name in OWN:
        host = SERVICES[name]["environment"]["AFTCAST_METRICS__HOST"]
        assert host == "0.0.0.0"  # noqa: S104 - of its container
        port = str(load(environment={}).metrics.port)
        assert not any(port in opened.split(":") for opened in SERVICES[name].get("ports", ()))
        assert "network_mode" not in SERVICES[name]


def test_the_page_is_open_to_this_machine_and_to_who_has_the_token_only() -> None:
    (worker,) = [name for name in OWN if "--page" in SERVICES[name]["command"]]
    environment = {
        key: re.sub(VARIABLE, "a-token-of-this-page", str(value))
        for key, value in SERVICES[worker]["environment"].items()
        if "PAGE" in key
    }
    page = load(environment=environment).page
    assert page.token is not None
    assert SERVICES[worker]["ports"] == [f"127.0.0.1:{page.port}:{page.port}"]


def made_secrets(folder: Path) -> dict[str, str]:
    module = runpy.run_path(str(ROOT / "docker" / "make_secrets.py"))
    module["main"](folder)
    return dict(
        line.split("=", 1) for line in (folder / ".env").read_text("utf-8").splitlines() if line[0] != "#"
    )


def test_make_secrets_gives_each_password_a_value_of_its_own_and_keeps_what_is_there(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".env.example", tmp_path)
    made = made_secrets(tmp_path)
    assert made.keys() == EXAMPLE.keys()
    passwords = [value for name, value in made.items() if name.endswith(("PASSWORD", "TOKEN"))]
    assert len(set(passwords)) == len(passwords) == 4
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in passwords)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    with (tmp_path / ".env").open("a", encoding="utf-8") as file:
        file.write("COMPOSE_PROFILES=simulate\n")
    assert made_secrets(tmp_path) == made | {"COMPOSE_PROFILES": "simulate"}


def test_git_and_the_image_leave_secrets_out() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[0] == "*"
    assert "!.env" not in ignored


@pytest.mark.parametrize("name", OWN)
def test_our_services_run_a_command_that_exists_with_a_configuration_that_is_accepted(name: str) -> None:
    service = SERVICES[name]
    assert service["command"][0] in COMMANDS
    configuration = load(
        environment={
            key: re.sub(VARIABLE, lambda found: "x" * 48 if found[2] == ":?" else found[3], str(value))
            for key, value in service["environment"].items()
        }
    )
    assert configuration.kafka.bootstrap_servers == "kafka:19092"
    assert "INSIDE://kafka:19092" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    users = ET.parse(ROOT / "docker" / "clickhouse" / "writer.xml").getroot()  # noqa: S314 - our own
    writer = users.find(f"users/{configuration.clickhouse.user}")
    assert writer is not None
    assert [grant.text for grant in writer.iterfind("grants/query")] == [
        f"GRANT ALL ON {configuration.clickhouse.database}.*",
        "GRANT SELECT ON system.disks",
    ]
    password = writer.find("password")
    assert password is not None
    given = SERVICES["clickhouse"]["environment"][password.get("from_env", "")]
    assert given == service["environment"]["AFTCAST_CLICKHOUSE__PASSWORD"]
    removed = users.find("users/default")
    assert removed is not None
    assert removed.get("remove") == "remove"


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OWN])
def test_those_that_are_not_ours_are_not_root_and_change_no_file_of_ours(name: str) -> None:
    service = SERVICES[name]
    user = service["user"].split(":")[0]
    assert user == "karapace" or int(user) > 0
    for volume in service.get("volumes", ()):
        assert volume.endswith(":ro") is volume.startswith("./")


def test_grafana_is_provisioned_with_sources_boards_and_a_home_that_exist() -> None:
    grafana = SERVICES["grafana"]
    plugin, version = grafana["environment"]["GF_PLUGINS_PREINSTALL_SYNC"].split("@")
    assert (plugin, version) == (PLUGIN, PLUGIN_VERSION)
    folder = ROOT / "docker" / "grafana" / "provisioning"
    sources = yaml.safe_load((folder / "datasources" / "aftcast.yaml").read_text("utf-8"))["datasources"]
    assert [source["type"] for source in sources] == [PLUGIN, "prometheus"]
    clickhouse, prometheus = sources
    assert clickhouse["jsonData"]["host"] in SERVICES
    assert clickhouse["secureJsonData"]["password"].removeprefix("$") in grafana["environment"]
    assert urlsplit(prometheus["url"]).hostname in SERVICES
    (provider,) = yaml.safe_load((folder / "dashboards" / "aftcast.yaml").read_text("utf-8"))["providers"]
    mounts = dict(reversed(volume.removesuffix(":ro").split(":")) for volume in grafana["volumes"])
    boards = ROOT / mounts[provider["options"]["path"]]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (boards / home.name).is_file()
    assert (ROOT / mounts["/etc/grafana/provisioning"]) == folder


def test_dashboards_read_as_a_user_that_may_read_and_nothing_else() -> None:
    users = ET.parse(ROOT / "docker" / "clickhouse" / "reader.xml").getroot()  # noqa: S314 - our own
    sources = yaml.safe_load(
        (ROOT / "docker" / "grafana" / "provisioning" / "datasources" / "aftcast.yaml").read_text("utf-8")
    )
    settings = sources["datasources"][0]["jsonData"]
    user = users.find(f"users/{settings['username']}")
    assert user is not None
    assert [grant.text for grant in user.iterfind("grants/query")] == [
        f"GRANT SELECT ON {settings['defaultDatabase']}.*"
    ]
    profile = users.find(f"profiles/{user.findtext('profile')}")
    assert profile is not None
    assert profile.findtext("readonly") == "1"
    # The driver sends this setting with every query: locked, no panel would show anything.
    assert profile.find("constraints/max_execution_time/changeable_in_readonly") is not None
    password = user.find("password")
    assert password is not None
    assert password.text is None
    assert password.get("from_env") in SERVICES["clickhouse"]["environment"]
    mounted = [volume for volume in SERVICES["clickhouse"]["volumes"] if ".xml" in volume]
    assert mounted == [
        f"./docker/clickhouse/{name}.xml:/etc/clickhouse-server/users.d/{name}.xml:ro"
        for name in ("writer", "reader")
    ]


def test_alerts_about_models_go_where_those_about_aftcast_go() -> None:
    tables = {"AFTCAST_FORWARD": SERVICES["forward"]["environment"]["AFTCAST_FORWARD"]}
    (target,) = load(environment=tables).forward
    assert target.kind == "alertmanager"
    assert urlsplit(target.url).netloc == "alertmanager:9093"
    assert "alertmanager" in SERVICES["forward"]["depends_on"]


def test_prometheus_asks_every_role_and_tells_an_alertmanager_that_is_there() -> None:
    settings = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    asked = [t for job in settings["scrape_configs"] for t in job["static_configs"][0]["targets"]]
    port = load(environment={}).metrics.port
    assert asked == [f"{name}:{port}" for name in OWN if "healthcheck" in SERVICES[name]]
    (told,) = settings["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert told.split(":")[0] in SERVICES
    for path in settings["rule_files"]:
        assert (ROOT / "docker" / "prometheus" / path).is_file()
    routes = yaml.safe_load((ROOT / "docker" / "alertmanager" / "alertmanager.yml").read_text("utf-8"))
    assert routes["route"]["receiver"] in [receiver["name"] for receiver in routes["receivers"]]


def test_both_roles_run_once_each() -> None:
    roles = sorted(SERVICES[name]["command"][2] for name in OWN if SERVICES[name]["command"][0] == "worker")
    assert roles == ["raw", "streams"]


def test_the_image_runs_as_somebody_else_than_root_and_copies_what_exists() -> None:
    lines = (ROOT / "docker" / "Dockerfile").read_text("utf-8").splitlines()
    stages = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", stage) for stage in stages)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["${UID}"]
    assert lines.index("USER ${UID}") > lines.index("ARG UID=10001")
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in ignored


def test_each_of_our_services_may_write_where_compiled_kernels_are_looked_for() -> None:
    # numba refuses to import what it could not keep, and the rest of the file system is read-only.
    (folder,) = re.findall(r"NUMBA_CACHE_DIR=(\S+)", (ROOT / "docker" / "Dockerfile").read_text("utf-8"))
    for name in OWN:
        assert f"kernels:{folder}" in SERVICES[name]["volumes"]


def test_hadolint_finds_nothing_in_the_image() -> None:
    # It comes with the tests, beside the interpreter.
    command = [str(Path(sys.executable).with_name("hadolint")), str(ROOT / "docker" / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
