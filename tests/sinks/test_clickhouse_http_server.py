"""ClickHouse's HTTP interface over the embedded engine, as curl, browsers and drivers meet it."""

# ruff: noqa: S310, S608 - the addresses and names in the statements are the tests' own

import asyncio
import base64
import gzip
import json
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import lz4.frame
import pytest
from backports import zstd

from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import RefusedError, UnreachableError
from sinks.clickhouse.http_server import HttpServer


def ask(
    url: str,
    statement: str = "",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    **more: str,
) -> tuple[int, bytes, Any]:
    parameters = ({"query": statement} if statement else {}) | more
    request = urllib.request.Request(
        f"{url}/?{urllib.parse.urlencode(parameters)}",
        body,
        {"Content-Type": "application/octet-stream"} | (headers or {}),
    )
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


@pytest.fixture
def table(clickhouse_http_url: str) -> Iterator[str]:
    ask(
        clickhouse_http_url,
        "CREATE OR REPLACE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n",
        b"",
    )
    yield "t"
    ask(clickhouse_http_url, "DROP TABLE t", b"")


def test_curl_gets_rows_in_the_format_that_it_asks_for(clickhouse_http_url: str) -> None:
    statement = "SELECT 1 AS a, 'x' AS b FORMAT JSONEachRow"
    answer = subprocess.run(
        ["curl", "-s", clickhouse_http_url, "--data-binary", statement], capture_output=True, check=True
    )
    assert answer.stdout == b'{"a":1,"b":"x"}\n'


def test_ping_answers_and_other_paths_are_not_found(clickhouse_http_url: str) -> None:
    with urllib.request.urlopen(f"{clickhouse_http_url}/ping") as response:
        assert response.read() == b"Ok.\n"
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(f"{clickhouse_http_url}/play")
    caught.value.close()


def test_get_only_reads(clickhouse_http_url: str, table: str) -> None:
    status, body, headers = ask(clickhouse_http_url, f"DROP TABLE {table}")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (403, "164")
    assert b"readonly" in body
    assert ask(clickhouse_http_url, f"SELECT count() FROM {table}")[:2] == (200, b"0\n")


@pytest.mark.parametrize(
    ("statement", "status", "code"),
    [
        ("SELEKT 1", 400, "62"),
        ("SELECT * FROM nowhere", 404, "60"),
        ("SELECT * FROM no.where", 404, "81"),
        ("SELECT throwIf(1)", 500, "395"),
    ],
)
def test_errors_have_clickhouse_s_code_and_status(
    clickhouse_http_url: str, statement: str, status: int, code: str
) -> None:
    found, body, headers = ask(clickhouse_http_url, statement)
    assert (found, headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert body.startswith(f"Code: {code}. DB::Exception: ".encode())


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("identity", bytes),
        ("lz4", lz4.frame.compress),
        ("zstd", zstd.compress),
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
    ],
)
def test_compressed_inserts_arrive(
    clickhouse_http_url: str, table: str, encoding: str, compress: Any
) -> None:
    data = b"".join(b'{"n":%d,"s":"FORMAT x"}\n' % i for i in range(1_000))
    headers = {"Content-Encoding": encoding}
    statement = f"INSERT INTO {table} (n, s) FORMAT JSONEachRow"
    assert ask(clickhouse_http_url, statement, compress(data), headers)[0] == 200
    assert ask(clickhouse_http_url, f"SELECT count(), sum(n) FROM {table}")[1] == b"1000\t499500\n"


@pytest.mark.parametrize(("encoding", "compress"), [("lz4", lz4.frame.compress), ("zstd", zstd.compress)])
def test_every_frame_of_a_body_is_read(
    clickhouse_http_url: str, table: str, encoding: str, compress: Any
) -> None:
    frames = b"".join(compress(b'{"n":%d,"s":""}\n' % i) for i in range(3))
    statement = f"INSERT INTO {table} FORMAT JSONEachRow"
    assert ask(clickhouse_http_url, statement, frames, {"Content-Encoding": encoding})[0] == 200
    assert ask(clickhouse_http_url, f"SELECT sum(n) FROM {table}")[1] == b"3\n"


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", False])
def test_a_driver_s_large_insert_arrives_whole(
    clickhouse_http_url: str, table: str, compression: str | bool
) -> None:
    parts = urllib.parse.urlsplit(clickhouse_http_url)
    client = clickhouse_connect.get_client(host=parts.hostname, port=parts.port, compress=compression)
    client.insert(table, [[i, "x" * 20] for i in range(50_000)], ["n", "s"])
    found = client.query(f"SELECT count(), sum(n), any(length(s)) FROM {table}")
    assert found.result_rows == [(50_000, 1_249_975_000, 20)]
    client.close()


def test_answers_are_compressed_for_those_who_ask(clickhouse_http_url: str) -> None:
    _, body, headers = ask(
        clickhouse_http_url,
        "SELECT number FROM numbers(1000)",
        headers={"Accept-Encoding": "br, gzip"},
        enable_http_compression="1",
    )
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).count(b"\n") == 1_000


def test_parameters_and_settings_of_a_url_are_for_one_request(clickhouse_http_url: str) -> None:
    status, body, _ = ask(clickhouse_http_url, "SELECT {x:UInt8} + 1", param_x="41", max_threads="1")
    assert (status, body) == (200, b"42\n")
    session = {"session_id": "s1", "session_timeout": "30"}
    ask(clickhouse_http_url, "CREATE TEMPORARY TABLE kept (n UInt8)", b"", **session)
    assert ask(clickhouse_http_url, "SELECT count() FROM kept", max_block_size="123", **session)[1] == b"0\n"
    assert ask(clickhouse_http_url, "SELECT getSetting('max_block_size') = 123", **session)[1] == b"0\n"
    assert ask(clickhouse_http_url, "SELECT count() FROM kept")[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Host": "elsewhere.example:8123"},
    ],
)
def test_pages_from_elsewhere_cannot_make_a_browser_ask(
    clickhouse_http_url: str, headers: dict[str, str]
) -> None:
    assert ask(clickhouse_http_url, "SELECT 1", headers=headers)[0] == 403


def test_pages_of_this_machine_may_ask(clickhouse_http_url: str) -> None:
    assert ask(clickhouse_http_url, "SELECT 1", headers={"Origin": "http://localhost:3000"})[0] == 200


def test_a_server_in_this_process_shares_the_database_with_our_own_handles(
    clickhouse_embedded_url: str,
) -> None:
    path = urllib.parse.urlsplit(clickhouse_embedded_url).path
    own = connect(clickhouse_embedded_url)
    own.command("CREATE OR REPLACE TABLE shared (n UInt8) ENGINE = MergeTree ORDER BY n")
    started, stop = threading.Event(), threading.Event()
    port = 0

    async def serve() -> None:
        nonlocal port
        server = HttpServer(path, "reader", "sesame")
        port = await server.start()
        second = HttpServer(path)
        with pytest.raises(OSError, match="address already in use"):
            await second.start(port)
        await second.stop()
        started.set()
        await asyncio.to_thread(stop.wait)
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(20)
        url = f"http://127.0.0.1:{port}"
        other = connect(url, "reader", "sesame")
        own.command("INSERT INTO shared VALUES (7)")
        assert other.rows("SELECT n FROM shared") == [{"n": 7}]
        other.close()
        with pytest.raises(RefusedError, match=r"Authentication failed.*; check clickhouse.user"):
            connect(url, "reader", "wrong")
        login = {"Authorization": "Basic " + base64.b64encode(b"reader:sesame").decode()}
        answer = ask(url, "SELECT 1 AS a FORMAT JSON", headers=login)[1]
        assert json.loads(answer)["data"] == [{"a": 1}]
    finally:
        stop.set()
        thread.join(20)
        own.command("DROP TABLE shared")
        own.close()
    with pytest.raises(UnreachableError, match=r"connection refused"):
        connect(url)
