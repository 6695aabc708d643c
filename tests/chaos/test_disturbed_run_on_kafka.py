"""The short form of ``make chaos``: a minute of disturbances, then nothing may be lost or doubled."""

from pathlib import Path

import pytest
from accounts import table
from disturbed_run import Plan, Run, last_words

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
# One of each way to lose or double something; the others are in the long form.
KINDS = (
    "kill two workers",
    "freeze a worker",
    "kill the broker",
    "store: half an answer",
    "kill the raw writer",
    "store: no space",
)


@pytest.mark.timeout(600)  # a busy machine drains slowly
def test_after_kills_a_zombie_and_a_broken_store_every_record_is_in_one_place(tmp_path: Path) -> None:
    told: list[str] = []
    run = Run(Plan(seed=5, seconds=80.0, rate_per_s=200.0, kinds=KINDS), tmp_path, told.append)
    try:
        run.start()
        done = run.disturb()
        accounts = run.settle()
    finally:
        run.close()
    story = "\n".join([*told, last_words(run), table(accounts)])
    assert all(one.right for one in accounts), story
    assert run.fleet is not None
    assert not run.fleet.surprises, story
    assert {one.kind for one in done} == set(KINDS), story
    assert run.incidents, story
    frozen = [line for line in told if "SIGCONT" in line]
    assert frozen, story
