"""Who the page answers, what its answers forbid, and what its files may hold; no ClickHouse is asked."""

import gzip
import re
import time
from collections.abc import Iterator

import pytest
from served_page import page_over, request

from aftcast.demo.story import Story
from aftcast.demo.switches import WORDS, Switches
from aftcast.loading import ConfigurationError, load
from aftcast.page.files import page_files
from aftcast.page.guards import COOKIE, HEADERS, Guard

NOWHERE = "http://127.0.0.1:1"
TOKEN = "a-token-of-these-tests"  # noqa: S105
LARGEST_PAGE_BYTES = 100_000


@pytest.fixture(scope="module")
def switches() -> Switches:
    return Switches(Story(0, 10**15, 10**14, 10**14), lambda: 0, lambda: 1.0)


@pytest.fixture(scope="module")
def open_page(switches: Switches) -> Iterator[str]:
    with page_over(NOWHERE, switches=switches) as server:
        yield server.address


@pytest.fixture(scope="module")
def closed_page() -> Iterator[str]:
    with page_over(NOWHERE, Guard("127.0.0.1", ("figures.example",), TOKEN)) as server:
        yield server.address


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[", "10.0.0.1"]
)
def test_a_name_that_was_made_to_point_here_is_refused(open_page: str, host: str) -> None:
    for path in ("/", "/main.js", "/api/settings", "/api/overview?span=1h"):
        assert request(open_page, path, headers={"Host": host}).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8088"])
def test_names_of_this_machine_are_known(open_page: str, host: str) -> None:
    assert request(open_page, "/", headers={"Host": host}).status == 200


def test_more_names_are_those_that_were_configured() -> None:
    guard = Guard("10.1.2.3", ("figures.example",), TOKEN)
    assert guard.knows("figures.example:443")
    assert guard.knows("10.1.2.3:8088")
    assert not guard.knows("10.1.2.4")
    everywhere = Guard("0.0.0.0", (), TOKEN)  # noqa: S104
    assert everywhere.knows("10.1.2.4:8088")
    assert not everywhere.knows("evil.example")


@pytest.mark.parametrize(
    "path", ["/", "/login", "/main.js", "/nothing", "/api/settings", "/api/overview?span=1h"]
)
def test_every_answer_forbids_what_a_page_does_not_need(open_page: str, path: str) -> None:
    headers = request(open_page, path).headers
    assert {name: headers[name] for name in HEADERS} == HEADERS
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_without_the_token_nothing_but_the_log_in_is_given(closed_page: str) -> None:
    for path in ("/api/settings", "/api/overview?span=1h", "/main.js", "/index.html"):
        reply = request(closed_page, path)
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"] == "Bearer"
    away = request(closed_page, "/")
    assert (away.status, away.headers["Location"]) == (303, "/login")
    assert request(closed_page, "/login").status == request(closed_page, "/style.css").status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [(TOKEN, 200), (TOKEN + "x", 401), (TOKEN[:-1], 401), ("", 401), ("\u00e4" * 20, 401)],
)
def test_programs_send_the_token_as_a_header(closed_page: str, sent: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {sent}".encode().decode("latin-1")}
    assert request(closed_page, "/api/settings", headers=headers).status == status


def log_in(address: str, token: str) -> tuple[str, str]:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": address.rstrip("/")}
    reply = request(address, "/login", "POST", f"token={token}".encode(), headers)
    assert reply.status == 303
    return reply.headers["Location"], reply.headers.get("Set-Cookie") or ""


def test_people_log_in_once_and_no_script_can_read_their_session(closed_page: str) -> None:
    place, cookie = log_in(closed_page, TOKEN)
    assert place == "/"
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    session = cookie.split(";")[0]
    assert request(closed_page, "/api/settings", headers={"Cookie": session}).status == 200
    forged = session[:-1] + ("0" if session[-1] != "0" else "1")
    assert request(closed_page, "/api/settings", headers={"Cookie": forged}).status == 401


def test_a_wrong_token_sets_no_session_and_takes_its_time(closed_page: str) -> None:
    began_s = time.monotonic()
    assert log_in(closed_page, "wrong") == ("/login#wrong", "")
    assert time.monotonic() - began_s >= 0.5


@pytest.mark.parametrize("cookie", ["", ".", "1.2", "99999999999999.ff", "²²².ff", "9999999999.\u00e4"])
def test_what_is_no_session_admits_nobody(closed_page: str, cookie: str) -> None:
    headers = {"Cookie": f"{COOKIE}={cookie}".encode().decode("latin-1")}
    assert request(closed_page, "/api/settings", headers=headers).status == 401


def test_the_token_is_no_part_of_what_a_log_could_show() -> None:
    assert TOKEN not in repr(Guard("127.0.0.1", (), TOKEN))


def test_a_session_ends_by_itself_and_with_its_token(closed_page: str) -> None:
    old = Guard("127.0.0.1", (), TOKEN).session(time.time() - 13 * 3600)
    other = Guard("127.0.0.1", (), "another-token-of-tests").session(time.time())
    for cookie in (old, other):
        assert request(closed_page, "/api/settings", headers={"Cookie": f"{COOKIE}={cookie}"}).status == 401


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:1", "https://localhost"]
)
def test_only_the_page_itself_turns_a_switch(open_page: str, switches: Switches, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin}
    body = b'{"switch": "hold_labels", "on": true}'
    assert request(open_page, "/api/switches", "POST", body, headers).status == 403
    assert not switches.holds_labels


def test_a_switch_is_turned_by_a_post_and_read_by_a_get(open_page: str, switches: Switches) -> None:
    own = {"Origin": open_page.rstrip("/")}
    for name in WORDS:
        for on in (True, False):
            body = f'{{"switch": "{name}", "on": {str(on).lower()}}}'.encode()
            reply = request(open_page, "/api/switches", "POST", body, own)
            assert reply.document["switches"][name]["on"] is on
            assert request(open_page, "/api/switches").document["switches"][name]["on"] is on
    before = request(open_page, "/api/switches").document["switches"]
    for method in ("GET", "HEAD"):
        request(open_page, "/api/switches?switch=drift&on=true", method)
    assert request(open_page, "/api/switches").document["switches"] == before


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"switch": "drift", "on": 1}', b'{"switch": "x", "on": true}']
)
def test_a_post_that_turns_nothing_says_what_it_needs(open_page: str, body: bytes) -> None:
    reply = request(open_page, "/api/switches", "POST", body, {"Origin": open_page.rstrip("/")})
    assert reply.status == 400
    assert "one of drift, hold_labels, bad_messages" in reply.document["error"]


def test_a_body_that_is_larger_than_any_switch_is_refused(open_page: str) -> None:
    own = {"Origin": open_page.rstrip("/")}
    assert request(open_page, "/api/switches", "POST", b" " * 5000, own).status == 413


def test_outside_of_the_demo_there_is_no_switch(closed_page: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": closed_page.rstrip("/")}
    assert request(closed_page, "/api/switches", headers=headers).status == 404
    body = b'{"switch": "drift", "on": true}'
    assert request(closed_page, "/api/switches", "POST", body, headers).status == 404


def test_a_file_is_sent_once_packed_and_not_again(open_page: str) -> None:
    plain = request(open_page, "/main.js")
    packed = request(open_page, "/main.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body == page_files()["main.js"].content
    again = request(open_page, "/main.js", headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/../guards.py", "/%2e%2e/guards.py", "/uplot/../../guards.py", "/static/main.js"]
)
def test_no_path_leads_out_of_the_page(open_page: str, path: str) -> None:
    assert request(open_page, path).status == 404


def test_the_whole_page_is_below_100_kb() -> None:
    sizes = {path: len(file.packed) for path, file in page_files().items()}
    total = sum(size for path, size in sizes.items() if not path.endswith((".md", "LICENSE")))
    print(f"the page is {total:,} bytes packed")  # noqa: T201
    assert total < LARGEST_PAGE_BYTES


def test_no_file_names_another_host_or_makes_markup_of_text() -> None:
    ours = {path: file.content.decode() for path, file in page_files().items() if "uplot/" not in path}
    for path, text in ours.items():
        elsewhere = [name for name in re.findall(r"https?://[^\s\"'`)]+", text) if "www.w3.org" not in name]
        assert elsewhere in ([], ["https?:\\/\\//.test(newest.runbook_url"]), path
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text
        ), path
        if path.endswith(".html"):
            assert not re.search(r"<script(?! src)|<style|\sstyle=|\son\w+=", text), path


def test_every_module_that_is_imported_is_preloaded_and_there() -> None:
    modules = {path for path in page_files() if path.endswith(".js") and "/" not in path}
    named = set(
        re.findall(
            r'(?:from "\./|href="|src=")([\w./]+\.js)',
            "".join(page_files()[path].content.decode() for path in (*modules, "index.html")),
        )
    )
    assert {name for name in named if "/" not in name} == modules
    index = page_files()["index.html"].content.decode()
    assert all(f'"{module}"' in index for module in modules)


def test_the_copy_of_uplot_comes_with_its_licence_and_where_it_is_from() -> None:
    files = page_files()
    assert b"Permission is hereby granted" in files["uplot/LICENSE"].content
    assert b"uPlot (v1.6.32)" in files["uplot/uPlot.iife.min.js"].content[:200]
    assert b"uplot@1.6.32" in files["uplot/README.md"].content


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "figures.example"])  # noqa: S104
def test_a_page_for_other_machines_needs_a_token(host: str) -> None:
    with pytest.raises(ConfigurationError, match="or stand beside a token or token_file"):
        load(environment={"AFTCAST_PAGE__HOST": host})
    assert load(environment={"AFTCAST_PAGE__HOST": host, "AFTCAST_PAGE__TOKEN": TOKEN}).page.host == host


def test_a_short_token_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="PAGE__TOKEN must have at least 16 characters"):
        load(environment={"AFTCAST_PAGE__TOKEN": "short"})
