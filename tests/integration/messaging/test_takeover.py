"""Two relays of one service: when the one that leads is killed or frozen, the other goes on in order, in time."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from shared.messaging.broker import KafkaSettings
from shared.messaging.relaying import relay
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import (
    a_key,
    a_source,
    emit,
    eventually,
    once,
    read_numbers,
    reading,
    relaying,
)

#: Within this many seconds of its leader's death another relay sends.
TAKEOVER_S = 5.0


@asynccontextmanager
async def leading(
    pool: Pool, dsn: str, settings: KafkaSettings, source: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A relay in a process of its own that leads."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.messaging.relay_process",
        dsn,
        settings.bootstrap,
        source,
        str(settings.idempotence),
    )
    try:

        async def leads() -> bool:
            return await leader(pool) == "other relay"

        await eventually(leads)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def leader(pool: Pool) -> str | None:
    """Whose connection holds the relay's lock."""
    return await pool.fetchval(
        "select a.application_name from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' "
        "and l.granted and l.database = (select oid from pg_database where datname = current_database())"
    )


async def sent(pool: Pool, *, within: float) -> float:
    """Wait until nothing is unsent; returns how long it took, in seconds."""
    began = time.monotonic()

    async def all_sent() -> bool:
        return await pool.fetchval("select count(*) from outbox_unsent") == 0

    await eventually(all_sent, within=within)
    return time.monotonic() - began


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_another_relay_takes_over_in_order_and_in_time(
    pool: Pool, database: str, settings: KafkaSettings, fault: signal.Signals
) -> None:
    source, keys = a_source(), [a_key() for _ in range(5)]
    async with reading(settings.bootstrap) as reader:
        async with (
            leading(pool, database, settings, source) as other,
            relaying(database, settings, source) as standby,
        ):
            for key in keys:
                await emit(pool, key, 10, source=source)
            await sent(pool, within=30)
            assert await leader(pool) == "other relay"
            assert standby.problem is None

            # In the middle of its work, so that it has records in flight.
            for key in keys:
                await emit(pool, key, 400, source=source)
            await asyncio.sleep(0.02)
            other.send_signal(fault)
            died = time.monotonic()

            async def taken_over() -> bool:
                return await leader(pool) == "test relay"

            await eventually(taken_over)
            for key in keys:
                await emit(pool, key, 1, source=source)
            await sent(pool, within=30)
            assert time.monotonic() - died < TAKEOVER_S

            if fault is signal.SIGSTOP:
                other.send_signal(signal.SIGCONT)
            # It wakes with what its producer still held, while the other leads.
            for _ in range(10):
                for key in keys:
                    await emit(pool, key, 1, source=source)
                await asyncio.sleep(0.1)
            await sent(pool, within=30)
            assert await leader(pool) == "test relay"
        found = await read_numbers(reader, keys)
    assert {key: once(numbers) for key, numbers in found.items()} == {key: list(range(1, 422)) for key in keys}


async def test_a_leader_that_waits_long_for_the_broker_keeps_its_lock(
    pool: Pool, database: str, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_batch = AIOKafkaProducer.send_batch

    async def slowly(*arguments: Any, **options: Any) -> object:
        await asyncio.sleep(4.5)
        return await send_batch(*arguments, **options)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", slowly)
    # Looking for dead letters would keep the connection from standing idle.
    monkeypatch.setattr(relay, "_LETTERS_S", 60)
    async with relaying(database, settings), reading(settings.bootstrap) as reader:
        key = a_key()
        await emit(pool, key, 1)
        await sent(pool, within=30)
        assert await read_numbers(reader, [key]) == {key: [1]}
