"""The secured broker and a ClickHouse in a process of its own, once a session."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from secured_broker import Secured, start_secured

SERVED = "import sys; from sinks.clickhouse import http_server as h; {before}; h.main(sys.argv[1:])"


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
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
        root = Path(__file__).parents[2]
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
