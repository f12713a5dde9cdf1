"""Small turns of work that follow each other closely are taken together."""

import time

from shared.messaging.pacing import SHORTEST_S, Pace


async def waited(pace: Pace) -> float:
    began = time.monotonic()
    await pace.wait()
    return time.monotonic() - began


async def test_the_first_turn_waits_for_nothing() -> None:
    assert await waited(Pace(1_000)) < SHORTEST_S / 2


async def test_after_a_small_turn_the_next_begins_a_moment_later() -> None:
    pace = Pace(1_000)
    began = time.monotonic()
    pace.began(99)
    await pace.wait()
    assert time.monotonic() - began >= SHORTEST_S


async def test_after_a_turn_that_held_much_the_next_begins_at_once() -> None:
    pace = Pace(1_000)
    pace.began(1)
    pace.began(100)
    assert await waited(pace) < SHORTEST_S / 2


async def test_on_an_idle_system_nobody_waits() -> None:
    pace = Pace(1_000)
    pace.began(1)
    time.sleep(SHORTEST_S)  # noqa: ASYNC251 that time passes is all there is to it
    assert await waited(pace) < SHORTEST_S / 2
