"""What works in passes outlasts failures, says when it tries again, and lets go of what was open."""

import threading

import pytest
from structlog.testing import capture_logs

from aftcast import passes
from aftcast.passes import Passes


class AwayError(Exception):
    pass


class Counting(Passes):
    """Fails as it is told, pass by pass, then rests for an hour."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__("counting", "counting waits", (AwayError,), first_rest_s=0.0)
        self.failures = list(failures)
        self.done: list[str] = []
        self.rested = threading.Event()

    def work(self) -> float:
        if self.failures:
            raise self.failures.pop(0)
        self.done.append("work")
        self.rested.set()
        return 3_600.0

    def count_retry(self) -> None:
        self.done.append("retry")

    def disconnect(self) -> None:
        self.done.append("disconnect")


@pytest.fixture(autouse=True)
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(passes, "LONGEST_RETRY_S", 0.03)


def played(counting: Counting) -> list[str]:
    with capture_logs() as told:
        counting.start()
        assert counting.rested.wait(30)
        counting.stop()
    assert not counting.is_alive()
    return [line["event"] for line in told]


def test_each_failure_is_counted_let_go_of_and_tried_again_after_twice_as_long_up_to_a_bound() -> None:
    counting = Counting(
        AwayError("no answer"), AwayError("no answer"), AwayError("no answer"), AwayError("no answer")
    )
    lines = played(counting)
    assert counting.done == ["retry", "disconnect"] * 4 + ["work", "disconnect"]
    assert lines == [
        f"no answer; counting waits, trying again in {rest} s" for rest in ("0.01", "0.02", "0.03", "0.03")
    ]


def test_what_nobody_foresaw_is_told_with_its_kind_and_does_not_end_the_thread() -> None:
    counting = Counting(ZeroDivisionError("by zero"))
    assert played(counting) == ["ZeroDivisionError('by zero'); counting waits, trying again in 0.03 s"]
    assert counting.done == ["retry", "disconnect", "work", "disconnect"]


def test_a_stop_ends_a_long_rest_at_once_and_closes_what_was_open() -> None:
    counting = Counting()
    assert played(counting) == []
    assert counting.done == ["work", "disconnect"]
