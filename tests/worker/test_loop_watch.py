"""A process whose event loop stands still ends by itself, with the reason and the frame that holds it."""

import signal
import subprocess
import sys
import time

SCENE = """
import asyncio, signal, os, threading, time
from streams.worker.loop_watch import LoopWatch

def where_it_hangs():
    time.sleep(60)

async def run():
    watch = LoopWatch(1.0)
    watch.start()
    {scene}
    watch.stop()
    print("went on", flush=True)

asyncio.run(run())
"""


def play(scene: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCENE.format(scene=scene)],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip


def test_a_loop_that_hangs_ends_the_process_and_names_where() -> None:
    ended = play("where_it_hangs()")
    assert ended.returncode == 3
    told = ended.stdout + ended.stderr
    assert "the event loop stood still for 1 s" in told
    assert "in where_it_hangs" in ended.stderr
    assert "went on" not in ended.stdout


def test_a_loop_that_is_busy_in_short_turns_is_left_alone() -> None:
    ended = play("[(time.sleep(0.3), await asyncio.sleep(0)) for _ in range(6)]")
    assert (ended.returncode, ended.stdout) == (0, "went on\n")


def test_a_process_that_was_suspended_longer_goes_on() -> None:
    scene = "print('ready', flush=True); await asyncio.sleep(1.5)"
    with subprocess.Popen(
        [sys.executable, "-c", SCENE.format(scene=scene)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.0)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == "went on\n"
        assert process.wait(20) == 0
