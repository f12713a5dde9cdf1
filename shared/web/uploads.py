"""Files that are sent: kept on disk while they are taken in, never in memory."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Request

#: Files taken in at the same time by one process; more wait. Each has a connection and a thread.
_AT_ONCE = asyncio.Semaphore(2)

#: Bytes written at once.
_BLOCK = 1 << 20


@asynccontextmanager
async def uploaded(request: Request) -> AsyncGenerator[Path]:
    """The body of a request as a file, for as long as the block runs. Its path must be among a service's uploads."""
    descriptor, name = tempfile.mkstemp(prefix="quality-cycle-upload-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            waiting = bytearray()
            async for part in request.stream():
                waiting += part
                if len(waiting) >= _BLOCK:
                    await asyncio.to_thread(file.write, bytes(waiting))
                    waiting.clear()
            file.write(waiting)
        async with _AT_ONCE:
            yield Path(name)
    finally:
        _forget(Path(name))


def _forget(path: Path) -> None:
    path.unlink()
