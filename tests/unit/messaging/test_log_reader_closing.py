"""Closing a reader of the log ends, whatever the client library does."""

import asyncio
from typing import Any

import pytest

from shared.messaging import log_reading


class Connections:
    """What is left to close of a client that did not stop by itself."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class Client:
    """A client whose own task misses that it was cancelled, as often as ``misses`` says."""

    def __init__(self, misses: int, error: Exception | None = None) -> None:
        self._client = Connections()
        self._misses = misses
        self._error = error
        self._task = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if self._misses == 0:
                    raise
                self._misses -= 1

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            if self._error is not None:
                raise self._error from None


async def close(client: Client) -> None:
    await asyncio.wait_for(log_reading._close(client), 5)  # pyright: ignore[reportPrivateUsage, reportArgumentType]


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: Any) -> None:
    monkeypatch.setattr(log_reading, "_CLOSE_S", 0.05)


async def test_a_client_that_stops_is_left_to_it() -> None:
    client = Client(misses=0)
    await close(client)
    assert not client._client.closed  # pyright: ignore[reportPrivateUsage]


async def test_a_client_that_waits_for_ever_for_a_task_of_its_own_is_ended() -> None:
    client = Client(misses=1)
    await close(client)
    assert client._client.closed  # pyright: ignore[reportPrivateUsage]
    assert client._task.done()  # pyright: ignore[reportPrivateUsage]


async def test_what_fails_while_it_stops_is_told() -> None:
    with pytest.raises(ConnectionError):
        await close(Client(misses=0, error=ConnectionError("gone")))
