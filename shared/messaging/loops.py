"""A loop that lives as long as its service: sessions begun anew, with growing pauses, until it is stopped."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from shared.persistence.failures import PassingFailure

#: Pause after the first failure, in seconds; it doubles with each one that follows.
FIRST_PAUSE_S = 0.2


class Loop:
    """Runs one session after the other. What ends a session is waited out; what is in hand at a stop is finished."""

    def __init__(self, *, finish_s: float, longest_pause_s: float) -> None:
        """``finish_s`` is how long what is in hand may take after ``stop``, in seconds."""
        self._finish_s = finish_s
        self._longest_pause_s = longest_pause_s
        self._failures = 0
        self._limit: asyncio.Timeout | None = None
        #: Set once no new work is to be taken.
        self.stopping = asyncio.Event()

    def stop(self) -> None:
        """Take no new work, and finish what is in hand, unless it takes too long."""
        self.stopping.set()
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._finish_s)

    async def run(self, session: Callable[[], Awaitable[None]], failed: Callable[[Exception], None]) -> bool:
        """Run sessions until stopped; ``failed`` hears why one ended. Returns False if the last was cut off."""
        try:
            async with asyncio.timeout(None) as self._limit:
                while not self.stopping.is_set():
                    try:
                        await _unless_cancelled(session())
                    except Exception as error:
                        failed(error)
                        self._failures += 1
                        await self.pause(self._failures)
        except TimeoutError:
            return False
        finally:
            self._limit = None
        return True

    def works(self) -> None:
        """The session does its work: the next failure is a first one."""
        self._failures = 0

    async def pause(self, failures: int) -> None:
        """Wait after so many failures in a row, but no longer than until the loop is stopped."""
        ceiling = min(FIRST_PAUSE_S * 2 ** min(failures, 30), self._longest_pause_s)
        try:
            await asyncio.wait_for(self.stopping.wait(), random.uniform(ceiling / 2, ceiling))
        except TimeoutError:
            return


class CancelledWithin(PassingFailure):
    """Something that a session waited for was cancelled, and not the session itself."""


async def _unless_cancelled(session: Awaitable[None]) -> None:
    """Wait for a session. A client library that cancels its own tasks must not end the loop as if we were to end."""
    task = asyncio.current_task()
    try:
        await session
    except asyncio.CancelledError as error:
        if task is not None and task.cancelling():
            raise
        raise CancelledWithin("a task of the client library was cancelled while it was waited for") from error
