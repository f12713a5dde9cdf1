"""Wait for what can only be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def until(holds: Callable[[], Awaitable[bool]], *, look_s: float, limit_s: float, what: str) -> None:
    """Look every ``look_s`` seconds whether something holds. Raises TimeoutError, saying what, after ``limit_s``."""
    try:
        async with asyncio.timeout(limit_s):
            while True:
                if await holds():
                    return
                await asyncio.sleep(look_s)
    except TimeoutError as error:
        raise TimeoutError(f"not within {limit_s:.0f} s: {what}") from error
