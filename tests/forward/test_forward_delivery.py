"""One delivery over HTTP: what is taken, what is tried again, and what nobody may read in a reason."""

import asyncio

import aiohttp
import pytest
from receiver import Receiver

from aftcast.configuration import Forward
from aftcast.forward.delivery import Outcome, Rate, deliver
from aftcast.forward.targets import Target, open_target


def target(url: str, **fields: object) -> Target:
    return open_target(
        Forward(name="t", kind="cloudevents", url=url, secret_env="TOKEN", **fields),  # noqa: S106
        {"TOKEN": "hunter2"},
    )


def post(to: Target) -> Outcome:
    async def once() -> Outcome:
        async with aiohttp.ClientSession() as session:
            return await deliver(session, to, b"{}")

    return asyncio.run(once())


@pytest.mark.parametrize(
    ("status", "headers", "again", "after_s"),
    [
        (400, {}, False, 0.0),
        (401, {}, False, 0.0),
        (404, {}, False, 0.0),
        (302, {"Location": "http://127.0.0.1:1/"}, False, 0.0),
        (408, {}, True, 0.0),
        (429, {"Retry-After": "7"}, True, 7.0),
        (429, {"Retry-After": "99999"}, True, 60.0),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, True, 0.0),
        (500, {}, True, 0.0),
        (503, {}, True, 0.0),
    ],
)
def test_a_refusal_is_final_and_trouble_of_the_target_is_not(status, headers, again, after_s) -> None:
    with Receiver(answer=lambda _: (status, headers)) as receiver:
        outcome = post(target(receiver.url + "/hook"))
    assert outcome == Outcome(False, again, f"answered {status}: said {status} to /hook", after_s)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_what_is_taken_is_taken_once_with_its_type_and_token(status) -> None:
    with Receiver(answer=lambda _: (status, {})) as receiver:
        assert post(target(receiver.url)).taken
    (request,) = receiver.requests
    assert request.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert request.headers["Authorization"] == "Bearer hunter2"


def test_a_target_that_hangs_times_out_and_one_that_is_away_is_named() -> None:
    with Receiver(answer=lambda _: None) as receiver:
        slow = post(target(receiver.url, timeout="100ms"))
    assert (slow.again, slow.reason) == (True, "no answer within 0.1 s")
    away = post(target("http://127.0.0.1:1"))
    assert (away.again, away.reason) == (True, "not reachable (connection refused)")


def test_an_answer_that_repeats_the_token_is_masked() -> None:
    with Receiver(answer=lambda _: (400, {})) as receiver:
        outcome = post(target(receiver.url + "/hunter2"))
    assert "hunter2" not in outcome.reason
    assert "***" in outcome.reason


@pytest.mark.parametrize("per_minute", [1, 6, 60, 600])
def test_a_rate_lets_a_burst_through_and_then_one_at_a_time(per_minute: int) -> None:
    rate, now_s, sent = Rate(per_minute), 1_000.0, []
    for _ in range(3 * per_minute):
        now_s += rate.wait_s(now_s)
        sent.append(now_s)
    assert sent[0] == 1_000.0
    burst = max(1, per_minute // 6)
    for first, later in zip(sent, sent[per_minute + burst :], strict=False):
        assert later - first >= 60.0 - 1e-6
    assert sent[-1] - sent[0] <= 60.0 * 3
