"""Waiting for a sign: the sign, the time, and being cancelled, also all at once."""

import asyncio

import pytest

from streams.worker.waiting import woken


def test_waiting_ends_at_the_sign_and_without_one_after_its_time() -> None:
    async def run() -> None:
        sign = asyncio.Event()
        await asyncio.wait_for(woken(sign, 0.01), 5)
        asyncio.get_running_loop().call_later(0.01, sign.set)
        await asyncio.wait_for(woken(sign, 60), 5)

    asyncio.run(run())


def test_a_task_that_is_cancelled_in_the_moment_of_the_sign_ends() -> None:
    async def run() -> None:
        sign = asyncio.Event()

        async def for_ever() -> None:
            while True:
                sign.clear()
                await woken(sign, 60)

        task = asyncio.create_task(for_ever())
        await asyncio.sleep(0.01)
        sign.set()
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done, "the cancellation was swallowed"
        with pytest.raises(asyncio.CancelledError):
            task.result()

    asyncio.run(run())
