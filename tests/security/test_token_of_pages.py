"""The token of /metrics: who has it reads figures, who has not reads only whether the worker is well."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftcast.access import access_of, bearer_check
from aftcast.loading import load
from aftcast.metrics_reading import read_pages
from aftcast.raw_metrics import RawCollector
from sinks.raw_writer import RawCounters
from streams.worker.metrics import MetricsServer

TOKEN = "0123456789abcdef"  # noqa: S105


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    access = access_of(load(environment={"AFTCAST_METRICS__TOKEN": TOKEN}).metrics)
    server = MetricsServer(RawCollector(RawCounters()), host="127.0.0.1", port=0, admits=access)
    yield f"http://127.0.0.1:{server.port}"
    server.close()


def status(url: str, *headers: tuple[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer", 401),
        ("Bearer \xe4\xe4\xe4", 401),
    ],
)
def test_metrics_are_for_who_sends_the_token(page: str, sent: str, expected: int) -> None:
    code, text = status(page + "/metrics", ("Authorization", sent))
    assert code == expected
    assert ("aftcast_raw_read" in text) == (expected == 200)
    assert TOKEN not in text


def test_every_path_that_serves_metrics_asks_for_the_token(page: str) -> None:
    assert [status(page + path)[0] for path in ("/metrics", "/", "/metrics/", "//metrics", "/x")] == [401] * 5


def test_a_refusal_says_how_the_token_is_sent(page: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(page + "/metrics", timeout=5)  # noqa: S310
    with refused.value as error:
        assert error.headers["WWW-Authenticate"] == 'Bearer realm="aftcast"'
        assert error.read().endswith(b"sent as: Authorization: Bearer TOKEN\n")


def test_probes_need_no_token(page: str) -> None:
    assert [status(page + path)[0] for path in ("/healthz", "/readyz")] == [200, 200]


def test_our_own_reader_sends_the_token_and_without_it_says_that_it_was_refused(page: str) -> None:
    assert read_pages([page + "/metrics"], TOKEN) == ({}, {})
    assert read_pages([page + "/metrics"])[1] == {page + "/metrics": "Unauthorized"}


VISIBLE = st.text(alphabet=[chr(code) for code in range(0x21, 0x7F)], min_size=1, max_size=40)


@given(VISIBLE, st.text(max_size=40) | VISIBLE)
def test_only_the_very_token_passes(token: str, other: str) -> None:
    admits = bearer_check(token)
    assert admits(f"Bearer {other}") == (other.strip() == token)


def test_without_a_token_everybody_may_read() -> None:
    assert access_of(load(environment={}).metrics)("")
