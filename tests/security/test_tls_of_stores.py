"""ClickHouse and the schema registry behind TLS: who is trusted, and what a refusal says."""

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from certificates import Authority

from aftcast.loading import ConfigurationError, load
from aftcast.store_checks import registry_findings
from aftcast.working import open_database, registry_of
from sinks.clickhouse.errors import RefusedError, UnreachableError
from streams.decode import RegistryUnavailable

USER, PASSWORD = "aftcast", "of the test"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write what the two sides know: an authority, a server and a client that it signed, and a stranger."""
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority(directory, "authority")
    authority.sign("server")
    authority.sign("client")
    Authority(directory, "stranger").sign("intruder")
    return directory


def server_context(files: Path, *, asks_for_certificate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files / "authority.pem")
    context.load_cert_chain(files / "server.pem", files / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED if asks_for_certificate else ssl.CERT_NONE
    return context


@pytest.fixture(scope="module")
def stores(files: Path, serve_engine: Callable[..., str]) -> Iterator[dict[bool, str]]:
    """Put TLS before one ClickHouse, twice: without and with a client's certificate."""
    plain = urlsplit(serve_engine("--user", USER, "--password", PASSWORD))
    loop = asyncio.new_event_loop()
    addresses: dict[bool, str] = {}

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await source.read(65_536):
                target.write(part)
                await target.drain()
        target.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(plain.hostname, plain.port)
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))

    async def serve() -> list[asyncio.Server]:
        servers = []
        for asks in (False, True):
            context = server_context(files, asks_for_certificate=asks)
            servers.append(await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context))
            addresses[asks] = f"https://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}"
        return servers

    async def stop() -> None:
        for server in servers:
            server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    servers = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield addresses
    asyncio.run_coroutine_threadsafe(stop(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def environment(section: str, **keys: object) -> dict[str, str]:
    return {f"AFTCAST_{section}__{key}".upper(): str(value) for key, value in keys.items()}


def answer(files: Path, url: str, **keys: object) -> object:
    login = {"user": USER, "password": PASSWORD, "database": "default", "ca_file": files / "authority.pem"}
    client = open_database(load(environment=environment("clickhouse", url=url, **login | keys)))
    try:
        return client.rows("SELECT 1 AS one")
    finally:
        client.close()


def test_clickhouse_behind_tls_answers_who_trusts_its_authority(files: Path, stores: dict[bool, str]) -> None:
    assert answer(files, stores[False]) == [{"one": 1}]


def test_clickhouse_that_asks_for_a_certificate_answers_who_shows_one(
    files: Path, stores: dict[bool, str]
) -> None:
    own = {"certificate_file": files / "client.pem", "certificate_key_file": files / "client.key"}
    assert answer(files, stores[True], **own) == [{"one": 1}]
    assert answer(files, stores[True], certificate_file=files / "client.both.pem") == [{"one": 1}]


@pytest.mark.parametrize(
    ("asks", "keys", "cause"),
    [
        (False, {"ca_file": "stranger.pem"}, "certificate verify failed"),
        (False, {"ca_file": ""}, "certificate verify failed"),
        (True, {}, "certificate required|alert|closed|reset|eof"),
        (True, {"certificate_file": "intruder.both.pem"}, "unknown ca|alert|closed|reset|eof"),
    ],
)
def test_clickhouse_that_is_not_trusted_or_does_not_trust_us_is_named_with_the_cause(
    files: Path, stores: dict[bool, str], asks: bool, keys: dict[str, str], cause: str
) -> None:
    named = {key: files / file if file else "" for key, file in keys.items()}
    place = stores[asks].removeprefix("https://")
    with pytest.raises(
        UnreachableError, match=rf"^clickhouse: not reachable at {place} \(.*({cause})"
    ) as away:
        answer(files, stores[asks], **named)
    assert PASSWORD not in str(away.value)


def test_a_file_that_is_not_there_is_named_before_any_connection(files: Path) -> None:
    missing = str(files / "nothing.pem")
    with pytest.raises(ConfigurationError) as refused:
        load(environment=environment("clickhouse", ca_file=missing))
    assert str(refused.value) == (
        f'AFTCAST_CLICKHOUSE__CA_FILE must name a file that this user can read; got "{missing}"'
    )


def test_a_wrong_password_is_refused_and_not_shown(files: Path, stores: dict[bool, str]) -> None:
    with pytest.raises(RefusedError, match=r"check clickhouse\.user and clickhouse\.password$") as refused:
        answer(files, stores[False], password="hunter2")  # noqa: S106
    assert "hunter2" not in str(refused.value)


class Registry(BaseHTTPRequestHandler):
    """Knows one schema, and whoever knows the password."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "Basic YWZ0Y2FzdDpvZiB0aGUgdGVzdA=="
        body = json.dumps({"schema": '"string"'} if "ids" in self.path else []).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_told: object) -> None: ...


@contextmanager
def registry(files: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    server.socket = server_context(files, asks_for_certificate=True).wrap_socket(
        server.socket, server_side=True
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_registry_behind_tls_is_asked_with_our_certificate_and_password(files: Path) -> None:
    with registry(files) as url:
        login = {"url": url, "user": USER, "password": PASSWORD, "ca_file": files / "authority.pem"}
        own = {"certificate_file": files / "client.pem", "certificate_key_file": files / "client.key"}
        configuration = load(environment=environment("schema_registry", **login, **own))
        asked = registry_of(configuration)
        assert asked is not None
        schema = asked.by_id(7)
        assert schema is not None
        assert schema.text == '"string"'
        assert [one.grade for one in registry_findings(configuration)] == ["ok"]
        stranger = load(
            environment=environment("schema_registry", **login | own | {"ca_file": files / "stranger.pem"})
        )
        (finding,) = registry_findings(stranger)
        assert finding.grade == "failure"
        assert "certificate verify failed" in finding.text
        unknown = registry_of(stranger)
        assert unknown is not None
        with pytest.raises(RegistryUnavailable, match="certificate verify failed") as away:
            unknown.by_id(7)
        assert PASSWORD not in str(away.value)
