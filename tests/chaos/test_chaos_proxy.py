"""The proxy passes everything on, and cuts, refuses, slows down and stalls when it is told to."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from deploy.local.ports import LOOPBACK
from tests.chaos.proxy import FAIR, Proxy, Weather


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that sends back what it gets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxy(echo: int) -> AsyncIterator[Proxy]:
    made = Proxy(echo)
    await made.start()
    yield made
    await made.stop()


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(LOOPBACK, proxy.port)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes = b"hello") -> bytes:
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), 5)


async def test_what_is_sent_comes_out_whole_and_in_order(proxy: Proxy) -> None:
    reader, writer = await connect(proxy)
    sent = b"".join(b"%08d" % n for n in range(500_000))

    async def send() -> None:
        for start in range(0, len(sent), 100_000):
            writer.write(sent[start : start + 100_000])
            await writer.drain()
        writer.write_eof()

    _, received = await asyncio.gather(send(), asyncio.wait_for(reader.read(), 20))
    assert received == sent


async def test_a_cut_resets_open_connections_and_new_ones_work(proxy: Proxy) -> None:
    reader, writer = await connect(proxy)
    assert await ask(reader, writer) == b"hello"
    assert proxy.cut() == 2
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await ask(reader, writer)
    assert await ask(*await connect(proxy)) == b"hello"


async def test_a_refusal_lets_nobody_in_until_it_ends(proxy: Proxy) -> None:
    proxy.set_weather(Weather(refuses=True))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await ask(*await connect(proxy))
    proxy.set_weather(FAIR)
    assert await ask(*await connect(proxy)) == b"hello"


async def test_a_delay_holds_each_piece_back_both_ways(proxy: Proxy) -> None:
    reader, writer = await connect(proxy)
    await ask(reader, writer)
    proxy.set_weather(Weather(delay_s=0.2))
    began = time.monotonic()
    assert await ask(reader, writer) == b"hello"
    assert 0.4 <= time.monotonic() - began < 2
    proxy.set_weather(FAIR)
    began = time.monotonic()
    assert await ask(reader, writer) == b"hello"
    assert time.monotonic() - began < 0.2


async def test_a_stall_passes_nothing_on_and_loses_nothing(proxy: Proxy) -> None:
    reader, writer = await connect(proxy)
    await ask(reader, writer)
    proxy.set_weather(Weather(stalls=True))
    writer.write(b"one ")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.3)
    writer.write(b"two")
    proxy.set_weather(FAIR)
    assert await asyncio.wait_for(reader.readexactly(7), 5) == b"one two"


async def test_the_end_of_a_stream_is_passed_on_even_if_it_comes_while_it_is_slow(proxy: Proxy) -> None:
    proxy.set_weather(Weather(delay_s=0.1))
    reader, writer = await connect(proxy)
    writer.write(b"all of it")
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 5) == b"all of it"


async def test_a_server_that_is_not_there_is_a_connection_that_ends(echo: int) -> None:
    nowhere = Proxy(1)
    await nowhere.start()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await ask(*await connect(nowhere))
    await nowhere.stop()
