"""Gives memory that was freed back to the system, as allocators do not.

A catch-up fetches hundreds of megabytes in records of a few hundred bytes, in one thread, and frees them in
another. glibc keeps the pages: after one broker outage under 20,000 records/s a worker that used 123 MB of
its heaps held 776 MB of them, for as long as it lived, and the next outage added to it. Arrow's own allocator
is alike: a raw role held 550 MB of nothing after a cold join. Giving it back takes 1 to 30 ms of a thread of
its own, during a catch-up up to a quarter of a second.
"""

import ctypes
import threading
from collections.abc import Callable

import pyarrow as pa

EVERY_S = 20.0


class FreedMemory(threading.Thread):
    """Gives back what was freed in this process every ``EVERY_S`` until stopped; use it as a context."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        super().__init__(name="freed-memory", daemon=True)
        self._every_s = every_s
        self._stopping = threading.Event()

    def __enter__(self) -> "FreedMemory":
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        trim = trimming()
        pa.allocate_buffer(1)  # mimalloc gives nothing back in a thread that never allocated
        while not self._stopping.wait(self._every_s):
            pa.default_memory_pool().release_unused()
            if trim is not None:
                trim()


def trimming() -> Callable[[], object] | None:
    """Return what gives the freed pages of all heaps back, None where the C library cannot."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return None if malloc_trim is None else lambda: malloc_trim(ctypes.c_size_t(0))
