"""What a burst needed and freed goes back to the system, where the C library can do that."""

import subprocess
import sys

import pytest

from aftcast.freed_memory import trimming

BURST = """
import os, threading, time
from aftcast.freed_memory import FreedMemory

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

kept = []

def burst():  # as a thread fetches records: many small pieces, of which the last ones live on
    pieces = [bytes(1_000) for _ in range(200_000)]
    kept.extend(pieces[-10:])

before = resident_mb()
thread = threading.Thread(target=burst)
thread.start()
thread.join()
freed = resident_mb()
with FreedMemory(every_s=0.05):
    deadline = time.monotonic() + 20
    while resident_mb() > before + 40 and time.monotonic() < deadline:
        time.sleep(0.05)
print(freed - before, resident_mb() - before)
"""


@pytest.mark.skipif(trimming() is None, reason="this C library keeps what was freed")
def test_what_a_burst_freed_goes_back_while_what_it_left_lives_on() -> None:
    told = subprocess.run([sys.executable, "-c", BURST], check=True, capture_output=True, text=True).stdout
    kept_by_the_allocator, kept_in_the_end = map(float, told.split())
    assert kept_by_the_allocator > 150
    assert kept_in_the_end < 40
