"""Alerts to targets behind TLS: an authority of one's own, our certificate, and what a refusal says."""

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from certificates import Authority

from aftcast.configuration import Forward
from aftcast.failure import Failure
from aftcast.forward.delivery import Outcome, deliver
from aftcast.forward.targets import Target, open_target


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("targets")
    authority = Authority(directory, "authority")
    authority.sign("server")
    authority.sign("client")
    return directory


def target(url: str, files: Path, **given: str) -> Target:
    named = {name: str(files / value) for name, value in given.items()}
    return open_target(Forward(name="t", kind="cloudevents", url=url, **named), {})  # type: ignore[arg-type]


def delivered(files: Path, *, asks_for_certificate: bool = False, **given: str) -> Outcome:
    """Deliver once to a server that shows the authority's certificate; return what became of it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files / "authority.pem")
    context.load_cert_chain(files / "server.pem", files / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED if asks_for_certificate else ssl.CERT_NONE

    async def take(_: web.Request) -> web.Response:
        return web.Response(status=202)

    async def once() -> Outcome:
        app = web.Application()
        app.router.add_post("/hook", take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}/hook"
        try:
            async with aiohttp.ClientSession() as session:
                return await deliver(session, target(url, files, **given), b"{}")
        finally:
            await runner.cleanup()

    return asyncio.run(once())


def test_a_target_is_trusted_by_the_authority_that_its_table_names_and_by_no_other(files: Path) -> None:
    assert delivered(files, ca_file="authority.pem").taken
    refused = delivered(files)
    assert (refused.taken, refused.again) == (False, True)
    assert (
        refused.reason
        == "its certificate is not trusted (self-signed certificate in certificate chain); see ca_file"
    )


def test_a_target_that_asks_who_we_are_is_shown_our_certificate(files: Path) -> None:
    shown = {"certificate_file": "client.pem", "certificate_key_file": "client.key"}
    assert delivered(files, asks_for_certificate=True, ca_file="authority.pem", **shown).taken
    assert not delivered(files, asks_for_certificate=True, ca_file="authority.pem").taken


def test_files_that_are_not_there_or_hold_something_else_are_named(files: Path) -> None:
    with pytest.raises(Failure, match=r'"t": .*nowhere\.pem cannot be used \(No such file'):
        target("https://127.0.0.1:1", files, ca_file="nowhere.pem")
    with pytest.raises(Failure, match=r"server\.key cannot be used"):
        target("https://127.0.0.1:1", files, ca_file="server.key")
