"""What the services' processes use: processor time and memory, as the operating system counts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil

from benchmarks.ground import Ground

_SAMPLE_S = 0.25


async def cpu_percent(ground: Ground, seconds: float) -> dict[str, float]:
    """Processor time of each service over some seconds, in percent of one core."""
    before = _processor_times(ground)
    await asyncio.sleep(seconds)
    after = _processor_times(ground)
    return {name: (after[name] - before[name]) / seconds * 100 for name in before}


@asynccontextmanager
async def watching_memory(ground: Ground) -> AsyncIterator[dict[str, float]]:
    """The largest resident memory of each service while the block runs, in MB (10⁶ bytes)."""
    largest: dict[str, float] = {}

    async def watch() -> None:
        while True:
            for name, process in _processes(ground).items():
                largest[name] = max(largest.get(name, 0.0), process.memory_info().rss / 1e6)
            await asyncio.sleep(_SAMPLE_S)

    watcher = asyncio.create_task(watch())
    try:
        yield largest
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


def _processor_times(ground: Ground) -> dict[str, float]:
    times = {name: process.cpu_times() for name, process in _processes(ground).items()}
    return {name: spent.user + spent.system for name, spent in times.items()}


def _processes(ground: Ground) -> dict[str, psutil.Process]:
    state = ground.stack.state()
    known = {entry.name: entry.id.psutil() for entry in state.processes} if state else {}
    return {name: handle for name in ground.stack.options.services if (handle := known.get(name)) is not None}
