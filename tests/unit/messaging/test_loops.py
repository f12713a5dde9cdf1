"""A loop goes on through whatever ends a session, and ends when it is stopped or cancelled."""

import asyncio

import pytest

from shared.messaging.loops import CancelledWithin, Loop


async def test_a_task_cancelled_within_a_session_does_not_end_the_loop() -> None:
    loop = Loop(finish_s=1, longest_pause_s=0.01)
    heard: list[Exception] = []
    sessions = 0

    async def session() -> None:
        nonlocal sessions
        sessions += 1
        if sessions == 2:
            loop.stop()
            return
        within = asyncio.create_task(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(within.cancel)
        await within

    assert await asyncio.wait_for(loop.run(session, heard.append), 5)
    assert [type(error) for error in heard] == [CancelledWithin]
    assert sessions == 2


async def test_a_loop_that_is_cancelled_ends() -> None:
    loop = Loop(finish_s=1, longest_pause_s=0.01)
    running = asyncio.create_task(loop.run(lambda: asyncio.sleep(60), lambda _: None))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)


async def test_a_session_that_takes_too_long_after_a_stop_is_cut_off() -> None:
    loop = Loop(finish_s=0.05, longest_pause_s=0.01)
    running = asyncio.create_task(loop.run(lambda: asyncio.sleep(60), lambda _: None))
    await asyncio.sleep(0.01)
    loop.stop()
    assert not await asyncio.wait_for(running, 5)
