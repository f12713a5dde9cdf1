"""The consumer: several members, crashes, restores, and what stands in the way of everything."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import TopicPartition

from shared.contracts.registry import PARTITIONS, Topic
from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming import consumer as consumer_module
from shared.messaging.consuming.inbox import Inbox, OffsetsWentBack
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import (
    OFFICE,
    a_key,
    applied,
    consuming,
    effects,
    emit,
    end_connections,
    eventually,
    make_reactions,
    new_consumer,
    publish,
    ready,
    relaying,
)
from tests.unit.messaging.crafted import record

TOPIC = Topic.CONCERNS.value


# Several members, crashes


async def test_members_of_a_group_share_the_work_while_others_come_and_go(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    group, keys = f"test.{uuid.uuid4().hex}", [a_key() for _ in range(24)]

    async def load(rounds: int) -> None:
        for _ in range(rounds):
            await asyncio.gather(*(emit(pool, key, 10) for key in keys))

    async with relaying(database, settings), consuming(pool, settings, group) as first:
        await ready(first)
        await load(3)
        async with consuming(pool, settings, group) as second:
            await load(3)
            await ready(second)
            await load(3)
        await load(3)
        for key in keys:
            await applied(pool, key, range(1, 121))


async def test_a_member_killed_in_the_middle_of_its_work_leaves_nothing_undone_or_doubled(
    pool: Pool, database: str, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, group = a_key(), f"test.{uuid.uuid4().hex}"
    apply, died = Inbox.apply, asyncio.Event()
    moments = iter(["before", "after"])

    async def dying(self: Inbox, *arguments: Any, **options: Any) -> Any:
        # Once before the database commits, once between that and all that follows it.
        moment = next(moments, None)
        result = await apply(self, *arguments, **options) if moment != "before" else None
        if moment is not None:
            died.set()
            await asyncio.sleep(60)
        return result

    monkeypatch.setattr(Inbox, "apply", dying)
    async with relaying(database, settings):
        await emit(pool, key, 10)
        for _ in range(2):
            died.clear()
            killed = asyncio.create_task(new_consumer(pool, settings, group).run())
            await asyncio.wait_for(died.wait(), 30)
            killed.cancel()
            await asyncio.gather(killed, return_exceptions=True)
            await emit(pool, key, 10)
        async with consuming(pool, settings, group):
            await applied(pool, key, range(1, 31))


async def test_two_members_that_hold_one_partition_apply_its_records_once(pool: Pool) -> None:
    await pool.execute("insert into consumer_offsets values ($1, 0, 'test', 0)", TOPIC)
    key = a_key()
    records = [record(n, key=key, offset=n) for n in range(1, 51)]
    members = [Inbox(pool, f"/{OFFICE}/test", make_reactions()) for _ in range(4)]
    now = datetime.now(UTC)
    await asyncio.gather(*(member.apply(records[: 50 - 10 * i], now, {}) for i, member in enumerate(members)))
    assert await effects(pool, key) == list(range(1, 51))
    assert await pool.fetchval("select next_offset from consumer_offsets") == 51


async def test_a_member_notices_that_the_database_went_back(pool: Pool) -> None:
    inbox = Inbox(pool, f"/{OFFICE}/test", make_reactions())
    now, one = datetime.now(UTC), record(1, key=a_key(), offset=4)
    with pytest.raises(OffsetsWentBack):
        await inbox.apply([one], now, {(TOPIC, 0): 0})
    await pool.execute("insert into consumer_offsets values ($1, 0, 'test', 3)", TOPIC)
    with pytest.raises(OffsetsWentBack):
        await inbox.apply([one], now, {(TOPIC, 0): 4})
    assert await pool.fetchval("select count(*) from effects") == 0


async def test_lost_database_connections_delay_and_lose_nothing(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    keys = [a_key() for _ in range(5)]
    async with relaying(database, settings), consuming(pool, settings) as consumer:
        await ready(consumer)
        for _ in range(6):
            for key in keys:
                await emit(pool, key, 20)
            await end_connections(pool)
            await asyncio.sleep(0.1)
        for key in keys:
            await applied(pool, key, range(1, 121))
        assert consumer.problem is None


async def test_a_busy_pool_delays_and_loses_nothing(pool: Pool, database: str, settings: KafkaSettings) -> None:
    key = a_key()
    async with relaying(database, settings), consuming(pool, settings) as consumer:
        await ready(consumer)
        await emit(pool, key, 5)
        taken = [await pool.acquire() for _ in range(pool.get_max_size())]
        await asyncio.sleep(0.5)
        for connection in taken:
            await pool.release(connection)
        await applied(pool, key, range(1, 6))


# What stands in the way of everything


async def test_a_member_that_lost_the_partition_of_what_stopped_it_is_ready_again(
    pool: Pool, settings: KafkaSettings
) -> None:
    async with consuming(pool, settings) as consumer:
        await ready(consumer)
        # Only now: the topic may hold events of other tests, which would stop it before it was ever ready.
        await pool.execute("alter table effects rename to effects_that_are_gone")
        await publish(settings, record(key=a_key()))

        async def stopped() -> bool:
            return consumer.problem is not None and "database refuses" in consumer.problem

        await eventually(stopped)
        assert await pool.fetchval("select count(*) from parked_streams") == 0
        # As if the partitions had gone to another member.
        await consumer.on_partitions_revoked([TopicPartition(TOPIC, n) for n in range(PARTITIONS)])

        async def no_longer_stopped() -> bool:
            return not await stopped()

        await eventually(no_longer_stopped)


async def test_waiting_for_hours_does_not_end_a_consumer(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "_LONGEST_PAUSE_S", 0.0001)
    consumer = new_consumer(pool, KafkaSettings("127.0.0.1:1", "test"))
    attempts = 0

    async def no_broker(*_: object) -> str:
        nonlocal attempts
        attempts += 1
        raise ConnectionError("no broker")

    monkeypatch.setattr(consumer, "_session", no_broker)
    task = asyncio.create_task(consumer.run())

    async def many() -> bool:
        return attempts > 1_500

    await eventually(many)
    assert not task.done()
    assert consumer.problem is not None
    consumer.stop()
    await asyncio.wait_for(task, 5)
