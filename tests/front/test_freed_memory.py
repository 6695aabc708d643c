"""What a burst needed and freed goes back to the system, where the C library can do that."""

import subprocess
import sys

import pytest

from aftcast.freed_memory import trimming

MEASURED = """
import os, threading, time
import pyarrow as pa
from aftcast.freed_memory import FreedMemory

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

kept = []

def burst():
{burst}

pa.array(["what is loaded once stays"])
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
# As a thread fetches records: many small pieces, of which the last ones live on.
RECORDS = """
    pieces = [bytes(1_000) for _ in range(200_000)]
    kept.extend(pieces[-10:])
"""
COLUMNS = """
    columns = [pa.array(["a text of some length"] * 200_000) for _ in range(40)]
    kept.extend(column.slice(0, 1).to_pylist() for column in columns)
"""


@pytest.mark.skipif(trimming() is None, reason="this C library keeps what was freed")
@pytest.mark.parametrize("burst", [RECORDS, COLUMNS], ids=["records", "columns"])
def test_what_a_burst_freed_goes_back_while_what_it_left_lives_on(burst: str) -> None:
    program = [sys.executable, "-c", MEASURED.format(burst=burst)]
    told = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    kept_by_allocators, kept_in_the_end = map(float, told.split())
    assert kept_by_allocators > 150
    assert kept_in_the_end < 40
