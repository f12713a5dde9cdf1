"""Delivery over the real broker and the real database: outbox → relay → topic → inbox."""

import asyncio
import uuid
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.contracts.concerns import ConcernClosed
from shared.contracts.envelope import read_envelope
from shared.contracts.registry import Topic
from shared.messaging import status
from shared.messaging.broker import KafkaSettings
from shared.messaging.unit_of_work import unit_of_work
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import a_key, applied, consuming, effects, emit, eventually, relaying
from tests.unit.messaging.crafted import SOURCE, closed_event


async def test_events_arrive_in_order_and_once(pool: Pool, database: str, settings: KafkaSettings) -> None:
    keys = [a_key() for _ in range(5)]
    async with relaying(database, settings), consuming(pool, settings):
        for _ in range(4):
            for key in keys:
                await emit(pool, key, 25)

        async def all_there() -> bool:
            return all([await effects(pool, key) == list(range(1, 101)) for key in keys])

        await eventually(all_there)
    async with pool.acquire() as connection:
        assert (await status.read(connection)).outbox_depth == 0


async def test_a_rolled_back_command_leaves_no_hole_in_the_numbers(pool: Pool) -> None:
    key = a_key()
    await emit(pool, key, 1)
    with pytest.raises(RuntimeError):
        async with unit_of_work(pool, SOURCE, datetime.now(UTC)) as work:
            work.emit(closed_event(key), key=key, correlation_id=uuid.uuid4())
            await work.flush()
            raise RuntimeError("the command fails after its event was numbered")
    await emit(pool, key, 1)
    rows = await pool.fetch("select sequence from outbox where key = $1 order by position", key)
    assert [row["sequence"] for row in rows] == [1, 2]


async def test_concurrent_commands_get_numbers_in_the_order_of_their_commits(pool: Pool) -> None:
    key = a_key()
    await asyncio.gather(*(emit(pool, key, 3) for _ in range(20)))
    rows = await pool.fetch("select sequence from outbox where key = $1 order by position", key)
    assert [row["sequence"] for row in rows] == list(range(1, 61))


async def test_unreadable_records_go_to_the_dead_letters_with_their_bytes_and_the_rest_goes_on(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    key = a_key()
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(
            Topic.CONCERNS, b"\xff\x00 not json", key=key.encode(), headers=[("ce_id", b"\xff\xfe"), ("x", b"\x00")]
        )
    finally:
        await producer.stop()
    async with relaying(database, settings), consuming(pool, settings):
        await emit(pool, key, 1)

        async def applied() -> bool:
            return await effects(pool, key) == [1]

        await eventually(applied)
        letters = await pool.fetch("select * from dead_letters where key = $1", key.encode())
    assert [(letter["value"], letter["reason"]) for letter in letters] == [(b"\xff\x00 not json", "unreadable")]
    assert "ce_id" in letters[0]["error"]
    assert letters[0]["header_values"] == [b"\xff\xfe", b"\x00"]


async def test_a_gap_is_held_until_the_missing_event_comes(pool: Pool, database: str, settings: KafkaSettings) -> None:
    key = a_key()
    await emit(pool, key, 3)
    async with pool.acquire() as connection:
        # Number 2 is not to be sent before the others: as if it had been lost between outbox and topic.
        await connection.execute(
            "delete from outbox_unsent where position = (select position from outbox where key = $1 and sequence = 2)",
            key,
        )
    async with relaying(database, settings), consuming(pool, settings):

        async def third_is_held() -> bool:
            return await pool.fetchval("select count(*) from held_events where key = $1", key) == 1

        await eventually(third_is_held)
        assert await effects(pool, key) == [1]
        await pool.execute("insert into outbox_unsent select position from outbox where key = $1 and sequence = 2", key)

        async def all_there() -> bool:
            return await effects(pool, key) == [1, 2, 3]

        await eventually(all_there)
        assert await pool.fetchval("select count(*) from held_events where key = $1", key) == 0


async def test_a_consumer_that_starts_anew_reads_on_where_the_database_says(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    key = a_key()
    group = f"test.{uuid.uuid4().hex}"
    async with relaying(database, settings):
        for round_ in (1, 2):
            async with consuming(pool, settings, group):
                await emit(pool, key, 10)
                wanted = list(range(1, round_ * 10 + 1))

                async def all_there(wanted: list[int] = wanted) -> bool:
                    return await effects(pool, key) == wanted

                await eventually(all_there)


async def forget_all_after(pool: Pool, key: str, number: int) -> None:
    """Leave what a restore leaves: nothing of what came after an event of a key."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("delete from effects where key = $1 and sequence > $2", key, number)
        await connection.execute(
            "update positions set last_sequence = $2, last_event_id = (select event_id from outbox "
            "where key = $1 and sequence = $2) where key = $1",
            key,
            number,
        )
        await connection.execute("update consumer_offsets set next_offset = 0")


@pytest.mark.parametrize("while_it", ["is stopped", "is idle"])
async def test_a_database_restored_to_the_past_reads_again_what_it_lost(
    pool: Pool, database: str, settings: KafkaSettings, while_it: str
) -> None:
    key = a_key()
    async with relaying(database, settings):
        async with consuming(pool, settings):
            await emit(pool, key, 10)
            await applied(pool, key, range(1, 11))
            if while_it == "is idle":
                await forget_all_after(pool, key, 4)
                await applied(pool, key, range(1, 11))
        if while_it == "is stopped":
            await forget_all_after(pool, key, 4)
            async with consuming(pool, settings):
                await applied(pool, key, range(1, 11))


async def test_what_is_published_is_a_cloudevent_in_binary_mode(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    key = a_key()
    sent = await emit(pool, key, 2)
    reader = AIOKafkaConsumer(
        Topic.CONCERNS.value, bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await reader.start()
    try:
        async with relaying(database, settings):
            found = []
            async with asyncio.timeout(20):
                async for record in reader:
                    if record.key == key.encode() and record.headers:
                        found.append((read_envelope(record.key, record.headers), record.value))
                    if len(found) == 2:
                        break
    finally:
        await reader.stop()
    assert [envelope.sequence for envelope, _ in found] == [1, 2]
    assert [ConcernClosed.model_validate_json(value) for _, value in found] == sent
    assert {envelope.source for envelope, _ in found} == {SOURCE}
