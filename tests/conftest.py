"""What several rooms' tests share: the real Kafka, and one clear line where it cannot be started."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from aftcast.kafka_broker import KafkaBroker, missing_tools

# No deadlines: the first call of a compiled loop compiles it. No database: a run depends on none before it.
hypothesis.settings.register_profile("aftcast", deadline=None, database=None)
hypothesis.settings.load_profile("aftcast")

# What is imported and collected stays to the end: going through a million such objects again and again takes
# a tenth of the time.
gc.disable()

NOT_RUN = pytest.StashKey[int]()
SERVED = "import sys; from sinks.clickhouse import http_server as h; {before}; h.main(sys.argv[1:])"


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("kafka") is None:
        return
    reason = missing_tools()
    if reason is None:
        return
    item.config.stash[NOT_RUN] = item.config.stash.get(NOT_RUN, 0) + 1
    if os.environ.get("CI") == "true":
        pytest.fail(f"needs a real Kafka: {reason}", pytrace=False)
    pytest.skip(f"needs a real Kafka: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = config.stash.get(NOT_RUN, 0)
    if count:
        terminalreporter.write_line(
            f"{count} tests on a real Kafka did not run: {missing_tools()}", yellow=True
        )
    skipped = terminalreporter.stats.get("skipped", ())
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    for reason in sorted({reason for reason in reasons if "needs a Chromium" in reason}):
        told = reason.removeprefix("Skipped: ")
        terminalreporter.write_line(
            f"{reasons.count(reason)} tests in a browser did not run: {told}", yellow=True
        )


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Start a broker for the session; a test that kills or pauses brokers makes one of its own."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def kafka(kafka_broker: KafkaBroker) -> str:
    """Return the bootstrap address of a real Kafka."""
    return kafka_broker.bootstrap


@pytest.fixture
def create_topic(kafka_broker: KafkaBroker) -> Callable[..., str]:
    """Return ``create_topic(name, partitions=1, config=None) -> name``."""
    return kafka_broker.create_topic


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a broker that lets in nobody unknown, for the tests beside ``secured_broker``."""
    from secured_broker import start_secured

    found = start_secured(tmp_path_factory.mktemp("secured"))
    try:
        yield found
    finally:
        found.broker.stop()


@pytest.fixture(scope="session")
def serve_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Return ``serve_engine(*arguments, before="pass") -> url``; a test process can own one engine only."""
    running: list[subprocess.Popen[str]] = []

    def serve(*arguments: str, before: str = "pass") -> str:
        path = tmp_path_factory.mktemp("clickhouse") / "served"
        command = [sys.executable, "-c", SERVED.format(before=before), str(path), "--port", "0", *arguments]
        root = Path(__file__).parents[1]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root))
        assert running[-1].stdout is not None
        return running[-1].stdout.readline().strip()

    try:
        yield serve
    finally:
        for process in running:
            with process:
                process.terminate()


@pytest.fixture(scope="session")
def engine_url(serve_engine: Callable[..., str]) -> str:
    return serve_engine()
