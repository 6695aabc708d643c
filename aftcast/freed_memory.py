"""Gives memory that was freed back to the system, as the allocator does not.

A catch-up fetches hundreds of megabytes in records of a few hundred bytes, in one thread, and frees them in
another. glibc keeps the pages: after one broker outage under 20,000 records/s a worker that used 123 MB of
its heaps held 776 MB of them, for as long as it lived, and the next outage added to it. Trimming takes 1 to
30 ms of a thread of its own.
"""

import ctypes
import threading
from collections.abc import Callable

EVERY_S = 20.0


class FreedMemory(threading.Thread):
    """Trims the heaps of this process every ``EVERY_S`` until stopped; without glibc it ends at once.

    Use it as a context: what is inside is trimmed.
    """

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
        while trim is not None and not self._stopping.wait(self._every_s):
            trim()


def trimming() -> Callable[[], object] | None:
    """Return what gives the freed pages of all heaps back, None where the C library cannot."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return None if malloc_trim is None else lambda: malloc_trim(ctypes.c_size_t(0))
