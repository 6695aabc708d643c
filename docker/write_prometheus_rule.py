"""Writes the rules of docker/prometheus as an object of the Prometheus operator, for docker/kubernetes."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RULES = FOLDER / "prometheus" / "rules.yml"
OBJECT = FOLDER / "kubernetes" / "components" / "monitoring" / "prometheus-rule.yaml"
HEAD = """# Written by make dashboards from docker/prometheus/rules.yml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: aftcast
  labels:
    app.kubernetes.io/name: aftcast
spec:
"""


def text() -> str:
    """Return the object's text; comments stay where they are."""
    lines = RULES.read_text("utf-8").splitlines()
    groups = lines[lines.index("groups:") :]
    return HEAD + "".join(f"  {line}\n" if line else "\n" for line in groups)


if __name__ == "__main__":
    OBJECT.write_text(text(), "utf-8")
