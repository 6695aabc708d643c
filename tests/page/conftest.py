"""A ClickHouse of the page's own, filled once, and the page over it."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from browser_visit import NO_CHROMIUM, Visit, chromium_path
from page_data import fill
from playwright.sync_api import Browser, sync_playwright
from served_page import DATABASE, Filled, page_over

from sinks.clickhouse.client import connect


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    directory = tmp_path_factory.mktemp("page")
    command = [
        sys.executable,
        "-m",
        "sinks.clickhouse.http_server",
        str(directory / "clickhouse"),
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        client = connect(url)
        yield Filled(url, client, fill(client, DATABASE, directory / "reference.json"))
        client.close()
        server.terminate()


@pytest.fixture(scope="session")
def page(filled: Filled) -> Iterator[str]:
    """Give the address of a page over eight hours of traffic."""
    with page_over(filled.url) as server:
        yield server.address


# Of a module: while it lives, Playwright's event loop runs in this thread, and other tests have their own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Give a real Chromium without a window; without one the test is skipped, with the remedy."""
    found = chromium_path()
    if found is None:
        pytest.skip(NO_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--headless=new"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Open pages in a browser of the test's own; whatever the console says fails the test at its end."""
    visit = Visit(chromium)
    yield visit
    visit.close()
    assert visit.complaints == []
