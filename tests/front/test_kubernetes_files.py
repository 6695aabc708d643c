"""The files for Kubernetes, checked without a cluster: schemas, references, rights, probes and settings."""

import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from aftcast.cli import COMMANDS
from aftcast.loading import load

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker" / "kubernetes"
BASE = FOLDER / "base"
EXAMPLE = FOLDER / "overlays" / "example"
VERSION = "1.34"  # of Kubernetes, whose schemas the validator has inside
KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed, which builds overlays")


def documents(folder: Path) -> list[dict[str, Any]]:
    """Return the objects of a kustomization as they are written, those of its resources one after another."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    files = [folder / name for name in kustomization["resources"] if name.endswith(".yaml")]
    return [document for file in files for document in yaml.safe_load_all(file.read_text("utf-8"))]


OBJECTS = documents(BASE)
BY_NAME = {(one["kind"], one["metadata"]["name"]): one for one in OBJECTS}
WORKLOADS = {one["metadata"]["name"]: one for one in OBJECTS if "template" in one.get("spec", {})}
PODS = {name: one["spec"]["template"]["spec"] for name, one in WORKLOADS.items()}
CONTAINERS = {name: pod["containers"][0] for name, pod in PODS.items()}
RUNNING = [name for name in WORKLOADS if name != "aftcast-setup"]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text("utf-8")


def settings_of(folder: Path) -> dict[str, str]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    (generator,) = kustomization["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generator["literals"])


@pytest.mark.parametrize("name", BY_NAME, ids="/".join)
def test_an_object_is_one_that_kubernetes_knows(name: tuple[str, str]) -> None:
    kubernetes_validate.validate(BY_NAME[name], VERSION, strict=True)


def test_the_validator_refuses_a_key_that_kubernetes_does_not_know() -> None:
    wrong = json.loads(json.dumps(BY_NAME["StatefulSet", "aftcast-worker"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=lambda folder: folder.name)
def test_every_setting_is_one_that_aftcast_knows(folder: Path) -> None:
    configuration = load(environment=settings_of(BASE) | settings_of(folder))
    assert configuration.metrics.host == "0.0.0.0"  # noqa: S104 - of its pod
    assert configuration.clickhouse.user == "aftcast"
    ports = {port["containerPort"] for name in RUNNING for port in CONTAINERS[name]["ports"]}
    assert ports == {configuration.metrics.port}


def test_variables_of_containers_are_settings_too_and_secrets_are_references() -> None:
    for container in CONTAINERS.values():
        environment = {one["name"]: "x" for one in container.get("env", ())}
        load(environment=environment)
        for one in container.get("env", ()):
            assert "value" not in one
            if "PASSWORD" in one["name"]:
                assert one["valueFrom"]["secretKeyRef"]["name"] == "aftcast"


def test_no_secret_is_written_down() -> None:
    for file in FOLDER.rglob("*.yaml"):
        text = file.read_text("utf-8")
        assert "kind: Secret\n" not in text
        assert not re.search(r"(?i)password=\S", text), file


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_has_no_rights_that_it_does_not_need(name: str) -> None:
    pod = PODS[name]
    rights = pod["securityContext"]
    assert rights["runAsNonRoot"] is True
    assert f"ARG UID={rights['runAsUser']}\n" in DOCKERFILE
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert ("ServiceAccount", pod["serviceAccountName"]) in BY_NAME
    for container in [*pod["containers"], *pod["initContainers"]]:
        own = container["securityContext"]
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_runs_a_command_that_exists_and_may_write_where_it_must(name: str) -> None:
    pod, container = PODS[name], CONTAINERS[name]
    assert container["args"][0] in COMMANDS
    assert container["envFrom"] == [{"configMapRef": {"name": "aftcast"}}]
    (kernels,) = re.findall(r"NUMBA_CACHE_DIR=(\S+)", DOCKERFILE)
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {"/tmp": "tmp", kernels: "kernels"}  # noqa: S108 - of its container
    assert {volume["name"] for volume in pod["volumes"]} == set(mounts.values())
    (copying,) = pod["initContainers"]
    assert copying["command"] == ["cp", "-R", f"{kernels}/.", copying["volumeMounts"][0]["mountPath"]]
    assert copying["volumeMounts"][0]["name"] == "kernels"


@pytest.mark.parametrize("name", RUNNING)
def test_who_is_alive_and_who_is_ready_are_asked_apart_with_time_to_answer(name: str) -> None:
    container = CONTAINERS[name]
    ports = {port["name"] for port in container["ports"]}
    paths = {}
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container[kind]
        paths[kind] = probe["httpGet"]["path"]
        assert probe["httpGet"]["port"] in ports
        # A probe of readiness may take five seconds to learn that something is away.
        assert probe["timeoutSeconds"] >= 5
    assert paths == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    # Kernels that are compiled anew take some 20 s, busy machines a minute.
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] >= 120
    assert PODS[name]["terminationGracePeriodSeconds"] >= 15


@pytest.mark.parametrize("name", RUNNING)
def test_services_budgets_and_selectors_mean_pods_that_there_are(name: str) -> None:
    labels = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
    assert WORKLOADS[name]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    service, budget = BY_NAME["Service", name], BY_NAME["PodDisruptionBudget", name]
    assert service["spec"]["selector"].items() <= labels.items()
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in {one["name"] for one in CONTAINERS[name]["ports"]}
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    # With one replica a budget of available pods would keep its node for ever.
    assert budget["spec"]["maxUnavailable"] == 1


def test_each_worker_has_a_name_that_outlives_its_pod() -> None:
    worker = BY_NAME["StatefulSet", "aftcast-worker"]
    assert ("Service", worker["spec"]["serviceName"]) in BY_NAME
    (instance,) = [one for one in CONTAINERS["aftcast-worker"]["env"] if one["name"].endswith("INSTANCE")]
    assert instance["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_roles_are_run_once_each_and_memory_is_enough_for_what_waits() -> None:
    roles = sorted(" ".join(CONTAINERS[name]["args"]) for name in WORKLOADS)
    assert roles == ["forward", "setup", "worker --role raw", "worker --role streams"]
    limit = CONTAINERS["aftcast-worker"]["resources"]["limits"]["memory"]
    waiting = load(environment=settings_of(BASE)).join.max_waiting_memory_bytes
    assert int(limit.removesuffix("Gi")) * 2**30 > 2 * waiting


def test_only_metrics_are_reachable_and_all_that_is_needed_can_be_reached() -> None:
    policy = BY_NAME["NetworkPolicy", "aftcast"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == [9464]
    reached = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    named = " ".join([*settings_of(BASE).values(), *settings_of(EXAMPLE).values()])
    wanted = re.findall(r"[a-z0-9.-]:(\d+)", named)
    assert len(wanted) > 4
    assert {53, *map(int, wanted)} <= reached


def test_prometheus_finds_each_service_by_its_label_and_port() -> None:
    file = FOLDER / "components" / "monitoring" / "service-monitor.yaml"
    monitor = yaml.safe_load(file.read_text("utf-8"))["spec"]
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))
    (common,) = kustomization["labels"]
    assert monitor["selector"]["matchLabels"].items() <= common["pairs"].items()
    scraped = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    services = [one for one in OBJECTS if one["kind"] == "Service"]
    # The rules know them by these names.
    assert {one["metadata"]["labels"][monitor["jobLabel"]] for one in services} == {
        job["job_name"] for job in scraped["scrape_configs"]
    }
    for endpoint in monitor["endpoints"]:
        assert all(endpoint["port"] in [p["name"] for p in one["spec"]["ports"]] for one in services)


def test_the_rules_of_the_operator_are_those_of_the_compose_file() -> None:
    module = runpy.run_path(str(ROOT / "docker" / "write_prometheus_rule.py"))
    committed = module["OBJECT"].read_text("utf-8")
    assert committed == module["text"](), "write it anew with: make dashboards"
    rules = yaml.safe_load((ROOT / "docker" / "prometheus" / "rules.yml").read_text("utf-8"))
    assert yaml.safe_load(committed)["spec"] == rules


def built(folder: Path) -> Iterator[dict[str, Any]]:
    assert KUBECTL is not None
    command = [KUBECTL, "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    yield from yaml.safe_load_all(done.stdout)


@needs_kubectl
@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=lambda folder: folder.name)
def test_what_kustomize_builds_is_valid_and_every_reference_leads_somewhere(folder: Path) -> None:
    objects = list(built(folder))
    names = {(one["kind"], one["metadata"]["name"]) for one in objects}
    for one in objects:
        if not one["apiVersion"].startswith("monitoring.coreos.com"):  # an operator's: it has no schema here
            kubernetes_validate.validate(one, VERSION, strict=True)
        for kind, name in references(one):
            assert (kind, name) in names, f"{one['metadata']['name']} names {kind} {name}"
    (configured,) = [one for one in objects if one["kind"] == "ConfigMap"]
    load(environment=configured["data"])
    images = {c["image"] for c in containers_of(objects)}
    assert len(images) == 1
    assert re.fullmatch(r"[a-z0-9./-]*aftcast:\d+\.\d+\.\d+", images.pop())


@needs_kubectl
def test_an_installation_gets_its_namespace_its_password_and_its_number_of_workers() -> None:
    objects = list(built(EXAMPLE))
    assert {one["metadata"].get("namespace", "aftcast") for one in objects} == {"aftcast"}
    (worker,) = [one for one in objects if one["kind"] == "StatefulSet"]
    assert worker["spec"]["replicas"] == 3
    main = [c for c in containers_of(objects) if c["name"] != "kernels"]
    assert len(main) == 4
    for container in main:
        assert "AFTCAST_KAFKA__SASL_PASSWORD" in [one["name"] for one in container["env"]]


def containers_of(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pods = [one["spec"]["template"]["spec"] for one in objects if "template" in one.get("spec", {})]
    return [container for pod in pods for container in [*pod["initContainers"], *pod["containers"]]]


def references(one: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what an object names, secrets aside: those are made by hand."""
    spec = one.get("spec", {})
    if "serviceName" in spec:
        yield "Service", spec["serviceName"]
    pod = spec.get("template", {}).get("spec", {})
    if "serviceAccountName" in pod:
        yield "ServiceAccount", pod["serviceAccountName"]
    for container in pod.get("containers", ()):
        for source in container.get("envFrom", ()):
            yield "ConfigMap", source["configMapRef"]["name"]
