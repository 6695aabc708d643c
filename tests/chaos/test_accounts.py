"""The accounts find what they are there to find, the schedule is the seed's, and the store breaks as told."""

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import pytest
from accounts import compared
from disturbances import KINDS, schedule
from flaky_store import FlakyStore
from log_model import FencedError, LogModel
from sent_traffic import INFERENCE, Traffic


def test_what_is_lost_doubled_or_strange_is_told_apart() -> None:
    account = compared("records", [1, 2, 3], [1, 1, 2, 9])
    assert (account.lost, account.doubled, account.wrong) == (1, 1, 1)
    assert account.examples == ["lost: 3", "doubled: 1", "not expected: 9"]
    assert not account.right
    assert compared("records", [1, 2], [2, 1]).right


def test_a_seed_gives_the_same_disturbances_and_each_kind_once_before_any_comes_again() -> None:
    first = list(islice(schedule(7, 10_000), 2 * len(KINDS)))
    assert first == list(islice(schedule(7, 10_000), 2 * len(KINDS)))
    assert first != list(islice(schedule(8, 10_000), 2 * len(KINDS)))
    assert {one.kind for one in first[: len(KINDS)]} == set(KINDS)
    assert sum(one.lasts_s + one.peace_s for one in schedule(7, 100)) <= 100


def test_traffic_is_the_seed_s_and_holds_what_late_labels_do() -> None:
    sent = [Traffic(3, 2_000, []).until(0, 5_000) for _ in range(2)]
    assert sent[0] == sent[1]
    traffic = Traffic(3, 2_000, [])
    everything = traffic.until(1_780_000_000_000, 1_780_000_010_000) + traffic.rest()
    assert [one.number for one in everything] != sorted(one.number for one in everything)  # reordered
    ids = [one.document["prediction_id"] for one in everything if one.side == INFERENCE and one.document]
    assert len(ids) > len(set(ids))  # repeated
    assert any(one.document is None for one in everything)
    assert any(one.document and one.document.get("label", "") is None for one in everything)  # withdrawn


def test_committed_readers_stop_before_an_open_transaction_and_a_claim_undoes_it() -> None:
    log, place = LogModel(), ("topic", 0)
    former = log.claim("name")
    log.write("name", former, place, "undone")
    assert list(log.committed(place)) == []
    owner = log.claim("name")
    log.write("name", owner, place, "kept")
    assert list(log.committed(place)) == []
    log.commit("name", owner)
    assert list(log.committed(place)) == [(1, "kept")]
    assert log.newest(place) == "kept"
    with pytest.raises(FencedError, match=r"^name: epoch 1, by now 2$"):
        log.write("name", former, place, "late")


class _Server(BaseHTTPRequestHandler):
    bodies: list[bytes] = []  # noqa: RUF012 - of one test

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        # In one piece: half of it ends within the body.
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def store() -> Iterator[FlakyStore]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    _Server.bodies.clear()
    flaky = FlakyStore(server.server_port)
    yield flaky
    flaky.close()
    server.shutdown()
    thread.join()
    server.server_close()


def post(store: FlakyStore) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=5)
    try:
        connection.request("POST", "/", b"rows" * 1000)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_store_that_breaks_off_has_taken_the_rows_or_not_and_says_neither(store: FlakyStore) -> None:
    assert post(store) == (200, b"x" * 1000)
    assert _Server.bodies == [b"rows" * 1000]
    store.set("half an answer")
    with pytest.raises(http.client.HTTPException):
        post(store)
    assert len(_Server.bodies) == 2  # taken, though nobody was told
    store.set("half a request")
    with pytest.raises((http.client.HTTPException, OSError)):
        post(store)
    store.set("down")
    with pytest.raises(OSError, match="refused"):
        post(store)
    store.set("open")
    assert post(store) == (200, b"x" * 1000)


@pytest.mark.parametrize(("mode", "code"), [("no space", b"Code: 243"), ("http 500", b"upstream error")])
def test_a_store_that_refuses_answers_as_clickhouse_does(store: FlakyStore, mode: str, code: bytes) -> None:
    store.set(mode)
    status, body = post(store)
    assert status == 500
    assert body.startswith(code)
    assert _Server.bodies == []
