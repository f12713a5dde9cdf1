"""Pacing: small turns of work that follow each other closely are taken together.

A turn costs its round trips whether it holds one event or a hundred. While events come one by one and faster than
that, a loop that begins each turn a moment after the one before finds several of them each time, and leaves processor
time to the others. Nobody waits on an idle system, nor with a backlog.
"""

import asyncio
import time

#: The shortest time from the beginning of a small turn to that of the next, in seconds.
SHORTEST_S = 0.015

#: A turn is small if it holds less than this part of what it could.
_SMALL = 0.1


class Pace:
    """When one loop may begin its next turn."""

    def __init__(self, most: int) -> None:
        """``most`` is how many a turn can hold."""
        self._small = most * _SMALL
        self._began = 0.0

    def began(self, count: int) -> None:
        """A turn with so many begins now. After one that is not small the next need not wait."""
        self._began = time.monotonic() if count < self._small else 0.0

    async def wait(self) -> None:
        """Wait until the next turn may begin."""
        remaining = self._began + SHORTEST_S - time.monotonic()
        if remaining > 0:
            await asyncio.sleep(remaining)
