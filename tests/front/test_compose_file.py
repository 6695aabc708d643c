"""The compose file and the image, checked without an engine: what would fail or leak only when started."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from aftcast.cli import COMMANDS
from aftcast.dashboards.grafana import PLUGIN, PLUGIN_VERSION
from aftcast.kafka_broker import KAFKA_VERSION
from aftcast.loading import load

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WATCHING = ("prometheus", "alertmanager", "grafana")
OWN = [name for name, service in SERVICES.items() if "build" in service]
EXAMPLE = dict(
    line.split("=", 1) for line in (ROOT / ".env.example").read_text("utf-8").splitlines() if "=" in line
)


def each_text(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in each_text(part)]
    if isinstance(value, list):
        return [text for part in value for text in each_text(part)]
    return [str(value)]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_only_for_services_that_exist_and_can_say_that_they_are_ready(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert how["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_on_has_a_health_check_a_memory_limit_and_is_started_again(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    if service["restart"] != "no":
        assert service["restart"] == "unless-stopped"
    # The forwarder serves no page: while it runs it is well, and when it ends it is started again.
    if service["restart"] != "no" and name != "forward":
        assert {"test", "interval", "timeout", "retries", "start_period"} <= service["healthcheck"].keys()


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:v?\d+(\.\d+)+", SERVICES[name]["image"])


def test_kafka_is_the_version_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_ports_differ_and_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    outside = [port.split(":")[1] for port in ports]
    assert len(set(outside)) == len(outside)


def test_metrics_are_reachable_inside_of_the_network_and_published_nowhere() -> None:
    for name in OWN:
        environment = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
        assert load(environment=environment).metrics.host == "0.0.0.0"  # noqa: S104 - of its container
        assert "ports" not in SERVICES[name]
        assert "network_mode" not in SERVICES[name]


def test_volumes_are_declared_and_used_and_bind_sources_exist() -> None:
    used = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists()
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])


def test_variables_have_no_default_and_stand_in_the_example_without_a_value() -> None:
    texts = each_text(SERVICES)
    variables = {match for text in texts for match in re.findall(r"\$\{(\w+)", text)}
    assert variables == set(EXAMPLE)
    assert set(EXAMPLE.values()) == {""}
    for text in texts:
        if "${" in text:
            assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", text)


def test_the_page_on_dashboards_says_how_to_fill_in_every_variable() -> None:
    page = (ROOT / "docs" / "dashboards.md").read_text("utf-8")
    (loop,) = re.findall(
        r"^\$ for name in (.+); do echo \"\$name=\$\(openssl rand -hex 24\)\"; done > \.env$", page, re.M
    )
    assert set(loop.split()) == set(EXAMPLE)


def test_no_password_is_written_down() -> None:
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable:
                assert value.startswith("${")


@pytest.mark.parametrize("name", OWN)
def test_our_services_run_a_command_that_exists_with_a_configuration_that_is_accepted(name: str) -> None:
    service = SERVICES[name]
    assert service["command"][0] in COMMANDS
    configuration = load(
        environment={key: str(value).split(":?")[0] for key, value in service["environment"].items()}
    )
    assert configuration.kafka.bootstrap_servers == "kafka:19092"
    assert "INSIDE://kafka:19092" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert configuration.clickhouse.user == SERVICES["clickhouse"]["environment"]["CLICKHOUSE_USER"]


@pytest.mark.parametrize("name", [*OWN, *WATCHING])
def test_our_services_and_those_that_watch_have_no_rights_that_they_do_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", WATCHING)
def test_those_that_watch_are_nobody_in_particular_and_change_no_file_of_ours(name: str) -> None:
    service = SERVICES[name]
    assert int(service["user"].split(":")[0]) > 0
    for volume in service["volumes"]:
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
    mounted = [volume for volume in SERVICES["clickhouse"]["volumes"] if "reader.xml" in volume]
    assert mounted == ["./docker/clickhouse/reader.xml:/etc/clickhouse-server/users.d/reader.xml:ro"]


def test_alerts_about_models_go_where_those_about_aftcast_go() -> None:
    (target,) = load(environment=SERVICES["forward"]["environment"]).forward
    assert target.kind == "alertmanager"
    assert urlsplit(target.url).netloc == "alertmanager:9093"
    assert "alertmanager" in SERVICES["forward"]["depends_on"]


def test_prometheus_asks_both_roles_and_tells_an_alertmanager_that_is_there() -> None:
    settings = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    asked = [t for job in settings["scrape_configs"] for t in job["static_configs"][0]["targets"]]
    port = load(environment={}).metrics.port
    assert asked == [f"{name}:{port}" for name in OWN if SERVICES[name]["command"][0] == "worker"]
    (told,) = settings["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert told.split(":")[0] in SERVICES
    for path in settings["rule_files"]:
        assert (ROOT / "docker" / "prometheus" / path).is_file()
    routes = yaml.safe_load((ROOT / "docker" / "alertmanager" / "alertmanager.yml").read_text("utf-8"))
    assert routes["route"]["receiver"] in [receiver["name"] for receiver in routes["receivers"]]


def test_both_roles_run_once_each() -> None:
    roles = sorted(SERVICES[name]["command"][-1] for name in OWN if SERVICES[name]["command"][0] == "worker")
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
