"""Waiting that ends at a sign, after a time, or by being cancelled, and never loses one of the three."""

import asyncio
import contextlib


async def woken(sign: asyncio.Event, within_s: float) -> None:
    """Return when ``sign`` is set, or after ``within_s`` seconds."""
    # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the sign, and a
    # task that runs for ever then does so.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await sign.wait()


async def ended(task: asyncio.Task[None] | None) -> None:
    """End a task whose outcome no longer matters: its error has stopped the worker, or is nobody's here."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
