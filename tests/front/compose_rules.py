"""What an engine would find out about a compose file only when it starts it: ten rules of our own."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PINNED = r"[a-z0-9./-]+:v?\d+(\.\d+)+"
SECRETS = ("PASSWORD", "TOKEN")
VARIABLE = r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}"


def texts_of(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts_of(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts_of(part)]
    return [str(value)]


def problems(compose: Mapping[str, Any], root: Path, example: Mapping[str, str]) -> list[str]:
    """Return each broken rule as one line; ``example`` is what ``.env.example`` names."""
    services = compose["services"]
    found = [line for name in services for line in _of_service(name, services, root)]
    found += _of_ports(services)
    used = {source for service in services.values() for source, _ in _mounts(service) if source[0] != "."}
    declared = set(compose.get("volumes", {}))
    found += [f"volume {name} is not declared" for name in used - declared]
    found += [f"volume {name} is not used" for name in declared - used]
    return found + list(_of_variables(services, example))


def _of_service(name: str, services: Mapping[str, Any], root: Path) -> Iterator[str]:
    service = services[name]
    for other, how in service.get("depends_on", {}).items():
        if other not in services:
            yield f"{name} waits for {other}, which is not there"
        elif how["condition"] == "service_healthy" and "healthcheck" not in services[other]:
            yield f"{name} waits for {other} to be healthy, which has no health check"
        elif how["condition"] == "service_completed_successfully" and services[other]["restart"] != "no":
            yield f"{name} waits for the end of {other}, which is always started again"
        elif set(services[other].get("profiles", ())) - set(service.get("profiles", ())):
            yield f"{name} waits for {other}, which a profile may leave out"
    if not re.fullmatch(PINNED, service.get("image", "")):
        yield f"{name} has an image without a version"
    if not service.get("mem_limit"):
        yield f"{name} has no limit of memory"
    if service.get("read_only") is not True:
        yield f"{name} may write into its own file system"
    if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", ()):
        yield f"{name} has rights that it does not need"
    for source, _ in _mounts(service):
        if source.startswith(".") and not (root / source).exists():
            yield f"{name} mounts {source}, which is not there"


def _mounts(service: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(volume.split(":")[0], volume.split(":")[1]) for volume in service.get("volumes", ())]


def _of_ports(services: Mapping[str, Any]) -> Iterator[str]:
    ports = [(name, port) for name, service in services.items() for port in service.get("ports", ())]
    for name, port in ports:
        if not port.startswith("127.0.0.1:"):
            yield f"{name} opens {port} to everybody"
    for port, count in Counter(port.split(":")[-2] for _, port in ports).items():
        if count > 1:
            yield f"port {port} is opened {count} times"


def _of_variables(services: Mapping[str, Any], example: Mapping[str, str]) -> Iterator[str]:
    named = set()
    for name, service in services.items():
        for text in texts_of(service):
            for variable, how, _ in re.findall(VARIABLE, text):
                named.add(variable)
                if variable not in example:
                    yield f"variable {variable} is not in .env.example"
                if not how:
                    yield f"variable {variable} has no default and no word about what to do"
                if variable.endswith(SECRETS) and how == ":-":
                    yield f"variable {variable} has a default"
        for key, value in service.get("environment", {}).items():
            if key.endswith(SECRETS) and not str(value).startswith("${"):
                yield f"{name} has {key} written down"
    for variable, value in example.items():
        if variable not in named:
            yield f"variable {variable} of .env.example is used nowhere"
        if value:
            yield f"variable {variable} has a value in .env.example"
