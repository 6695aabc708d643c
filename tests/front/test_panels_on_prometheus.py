"""What panels ask Prometheus, asked of a real one that scrapes the collectors of all roles."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from aftcast.cold_metrics import ColdCollector
from aftcast.dashboards import BOARDS
from aftcast.forward.metrics import ForwardCollector, Tally
from aftcast.raw_metrics import RawCollector
from sinks.cold.joiner import ColdCounters
from sinks.raw_writer import RawCounters
from streams.join.hot import JoinCounters
from streams.monitor.gauges import GAUGES, VersionFigures
from streams.partition.counters import StageCounters
from streams.worker.metrics import MetricsServer, WorkerCollector
from streams.worker.model_metrics import ModelCollector
from streams.worker.standing import Standing

PROMETHEUS = shutil.which("prometheus")
RULES = Path(__file__).parents[2] / "docker" / "prometheus" / "rules.yml"
QUERIES = {
    f"{board.name}: {panel.title}, {query.name}": query.text
    for board in BOARDS
    for panel in board.panels
    for query in panel.queries
    if query.source == "prometheus"
}
SCRAPED_EVERY_S = 0.5
RATE_OVER = "5s"  # what Grafana puts for $__rate_interval: several scrapes

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed: Debian has it")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def busy() -> Mapping[int, Standing]:
    """Return how two partitions are doing, whose counters grow with the clock."""
    n = now_ms()
    join = JoinCounters(**dict.fromkeys(JoinCounters.__dataclass_fields__, n))
    at_ms = now_ms() - 2_000
    return dict.fromkeys(
        (0, 1),
        Standing(
            counters=StageCounters(n, n // 9, 0, n, n // 9, join, 0),
            inference_ms=at_ms, labels_ms=at_ms, caught_up=True, settled=True, pending_records=0,
            waiting_predictions=5, waiting_bytes=100, held_by="", pane_bytes=10, restored=(3, 3),
            checkpoints=4, checkpoint_ms=at_ms,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert PROMETHEUS is not None
    raw, cold = RawCounters(), ColdCounters(last_run_ms=now_ms(), oldest_waiting_ms=now_ms())
    raw.lag.assigned([("label-events", 0)])
    raw.lag.starts(("label-events", 0), 0)
    raw.lag.ends(("label-events", 0), 9)
    models = [VersionFigures("fraud", "1", 9, {gauge.name: 0.5 for gauge in GAUGES})]
    page = MetricsServer(
        WorkerCollector(busy, lambda: (1, 1), now_ms),
        ModelCollector(lambda: models, lambda: {"fraud": now_ms()}),
        RawCollector(raw), ColdCollector(cold), ForwardCollector({"oncall": Tally()}),
        host="127.0.0.1", port=0,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("prometheus")
    every = f"{int(SCRAPED_EVERY_S * 1000)}ms"
    job = {"job_name": "aftcast-streams", "static_configs": [{"targets": [f"127.0.0.1:{page.port}"]}]}
    settings: dict[str, Any] = {"global": {"scrape_interval": every, "evaluation_interval": every}}
    settings |= {"scrape_configs": [job | {"scrape_timeout": every}], "rule_files": [str(RULES)]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        PROMETHEUS, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        page.close()


def answer_of(url: str, expression: str) -> list[dict[str, Any]]:
    asked = urlencode({"query": expression.replace("$__rate_interval", RATE_OVER)})
    with urlopen(f"{url}/api/v1/query?{asked}", timeout=5) as answer:  # noqa: S310 - of this test
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return found


def test_every_panel_that_asks_prometheus_gets_figures_with_the_labels_of_its_legend(url: str) -> None:
    assert len(QUERIES) > 10
    silent, ends_s = dict(QUERIES), time.monotonic() + 30
    answers: dict[str, list[dict[str, Any]]] = {}
    while silent and time.monotonic() < ends_s:
        time.sleep(SCRAPED_EVERY_S)
        with suppress(OSError):  # it takes a moment to start
            answers |= {name: answer_of(url, expression) for name, expression in silent.items()}
            silent = {name: expression for name, expression in silent.items() if not answers[name]}
    assert silent == {}
    for board in BOARDS:
        for panel in board.panels:
            for query in panel.queries:
                if query.source == "prometheus":
                    series = answers[f"{board.name}: {panel.title}, {query.name}"]
                    for label in ("partition", "topic", "target"):
                        assert all(
                            (label in one["metric"]) == (f"{{{{{label}}}}}" in query.legend) for one in series
                        )
    # What was recorded by our rules is there too, and one in nine of what is read is set aside.
    (share,) = answer_of(
        url, "sum(rate(aftcast_labels_dead_lettered_total[5s])) / sum(rate(aftcast_labels_read_total[5s]))"
    )
    assert float(share["value"][1]) == pytest.approx(1 / 9, rel=0.2)
    assert answer_of(url, "aftcast:lag_seconds:max")
