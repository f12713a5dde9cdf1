"""Delivery over the real broker and the real database: outbox → relay → topic → inbox."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import shared.messaging
from shared.contracts.concerns import ClosureReason, ConcernClosed
from shared.contracts.envelope import read_envelope
from shared.contracts.fields import EventData, Origin, ProviderRef
from shared.contracts.registry import Topic
from shared.messaging import status
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import Consumer
from shared.messaging.reactions import Reacting, Reactions, Received
from shared.messaging.relay import Relay
from shared.messaging.unit_of_work import unit_of_work
from shared.persistence import migrations
from shared.persistence.pool import Connection, Pool, open_pool
from shared.reference.kinds import ProviderKind
from tests.fixtures.infrastructure import Kafka

OFFICE = "test-office"


@dataclass
class Workspace:
    """What the test's reactions write: one row per event, so that a doubled effect shows."""

    seen: list[tuple[uuid.UUID, str, int]] = field(default_factory=list)


#: Events that the test's reaction refuses.
REFUSED: set[uuid.UUID] = set()


def make_reactions() -> Reactions[Workspace]:
    async def load(connection: Connection, events: Sequence[Received[EventData]]) -> Workspace:
        return Workspace()

    async def save(connection: Connection, work: Workspace) -> None:
        await connection.executemany("insert into effects (event_id, key, sequence) values ($1, $2, $3)", work.seen)

    reactions = Reactions(load=load, save=save)

    @reactions.on(ConcernClosed)
    def closed(work: Workspace, event: Received[ConcernClosed], reacting: Reacting) -> None:
        if event.data.concern_id in REFUSED:
            raise ValueError("refused by the test")
        work.seen.append((event.id, event.envelope.key, event.envelope.sequence))

    return reactions


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, name="test")
    async with pool.acquire() as connection:
        await migrations.migrate(connection, "messaging", Path(shared.messaging.__file__).parent / "migrations")
        await connection.execute("create table effects (event_id uuid, key text, sequence bigint)")
    yield pool
    pool.terminate()


@pytest.fixture
def settings(kafka: Kafka) -> KafkaSettings:
    embedded = kafka.kind == "embedded"
    return KafkaSettings(
        kafka.bootstrap, "test", idempotence=not embedded, fetch_max_wait_ms=50, session_timeout_ms=6_000
    )


@pytest.fixture
def source() -> str:
    """A source of its own per test: the topics are shared by the whole run."""
    return f"/{OFFICE}/intelligence"


def a_key() -> str:
    return "T" + uuid.uuid4().hex[:8].upper()


def closed_event(key: str) -> ConcernClosed:
    return ConcernClosed(
        concern_id=uuid.uuid4(),
        reference="T-1",
        provider=ProviderRef(ods_code=key, name="Testbrook (fictional)", kind=ProviderKind.HOSPITAL_TRUST),
        reason=ClosureReason.RESOLVED,
        closed_on=date(2024, 5, 1),
        origin=Origin.REPORTED,
    )


async def emit(pool: Pool, source: str, key: str, count: int) -> list[ConcernClosed]:
    events = [closed_event(key) for _ in range(count)]
    async with unit_of_work(pool, source, datetime.now(UTC)) as work:
        for event in events:
            work.emit(event, key=key, correlation_id=event.concern_id)
    return events


async def eventually(check: Callable[[], Awaitable[Any]], *, within: float = 30) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            assert await check()
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


@asynccontextmanager
async def relaying(pool_dsn: str, settings: KafkaSettings) -> AsyncIterator[Relay]:
    relay = Relay(dsn=pool_dsn, kafka=settings, name="test", retention=timedelta(days=14))
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await asyncio.wait_for(task, 15)


@asynccontextmanager
async def consuming(pool: Pool, settings: KafkaSettings, group: str | None = None) -> AsyncIterator[Consumer]:
    consumer = Consumer(
        pool=pool,
        kafka=settings,
        group=group or f"test.{uuid.uuid4().hex}",
        source=f"/{OFFICE}/test",
        reactions=make_reactions(),
        batch_size=100,
    )
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        consumer.stop()
        await asyncio.wait_for(task, 15)


async def effects(pool: Pool, key: str) -> list[int]:
    return [r["sequence"] for r in await pool.fetch("select sequence from effects where key = $1", key)]


async def test_events_arrive_in_order_and_once(pool: Pool, database: str, settings: KafkaSettings, source: str) -> None:
    keys = [a_key() for _ in range(5)]
    async with relaying(database, settings), consuming(pool, settings):
        for _ in range(4):
            for key in keys:
                await emit(pool, source, key, 25)

        async def all_there() -> bool:
            return all([await effects(pool, key) == list(range(1, 101)) for key in keys])

        await eventually(all_there)
    async with pool.acquire() as connection:
        assert (await status.read(connection)).outbox_depth == 0


async def test_a_rolled_back_command_leaves_no_hole_in_the_numbers(pool: Pool, source: str) -> None:
    key = a_key()
    await emit(pool, source, key, 1)
    with pytest.raises(RuntimeError):
        async with unit_of_work(pool, source, datetime.now(UTC)) as work:
            work.emit(closed_event(key), key=key, correlation_id=uuid.uuid4())
            await work.flush()
            raise RuntimeError("the command fails after its event was numbered")
    await emit(pool, source, key, 1)
    rows = await pool.fetch("select sequence from outbox where key = $1 order by position", key)
    assert [row["sequence"] for row in rows] == [1, 2]


async def test_concurrent_commands_get_numbers_in_the_order_of_their_commits(pool: Pool, source: str) -> None:
    key = a_key()
    await asyncio.gather(*(emit(pool, source, key, 3) for _ in range(20)))
    rows = await pool.fetch("select sequence from outbox where key = $1 order by position", key)
    assert [row["sequence"] for row in rows] == list(range(1, 61))


async def test_an_event_that_cannot_be_applied_stops_the_consumer_and_nothing_is_skipped(
    pool: Pool, database: str, settings: KafkaSettings, source: str
) -> None:
    key = a_key()
    async with relaying(database, settings), consuming(pool, settings) as consumer:
        await emit(pool, source, key, 3)
        poisoned = closed_event(key)
        REFUSED.add(poisoned.concern_id)
        try:
            async with unit_of_work(pool, source, datetime.now(UTC)) as work:
                work.emit(poisoned, key=key, correlation_id=poisoned.concern_id)

            async def stopped() -> bool:
                return consumer.problem is not None and "cannot be applied" in consumer.problem

            await eventually(stopped)
            await emit(pool, source, key, 2)
            await asyncio.sleep(1)
            assert 4 not in await effects(pool, key)
            assert 5 not in await effects(pool, key)
        finally:
            REFUSED.clear()

        async def all_there() -> bool:
            return await effects(pool, key) == [1, 2, 3, 4, 5, 6]

        await eventually(all_there)
        assert consumer.problem is None


async def test_unreadable_records_go_to_the_dead_letters_with_their_bytes_and_the_rest_goes_on(
    pool: Pool, database: str, settings: KafkaSettings, source: str
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
        await emit(pool, source, key, 1)

        async def applied() -> bool:
            return await effects(pool, key) == [1]

        await eventually(applied)
        letters = await pool.fetch("select * from dead_letters where key = $1", key.encode())
    assert [(letter["value"], letter["reason"]) for letter in letters] == [(b"\xff\x00 not json", "unreadable")]
    assert "ce_id" in letters[0]["error"]
    assert letters[0]["header_values"] == [b"\xff\xfe", b"\x00"]


async def test_a_gap_is_held_until_the_missing_event_comes(
    pool: Pool, database: str, settings: KafkaSettings, source: str
) -> None:
    key = a_key()
    await emit(pool, source, key, 3)
    async with pool.acquire() as connection:
        # Number 2 is not to be sent before the others: as if it had been lost between outbox and topic.
        await connection.execute("update outbox set sent_at = now() where key = $1 and sequence = 2", key)
    async with relaying(database, settings), consuming(pool, settings):

        async def third_is_held() -> bool:
            return await pool.fetchval("select count(*) from held_events where key = $1", key) == 1

        await eventually(third_is_held)
        assert await effects(pool, key) == [1]
        await pool.execute("update outbox set sent_at = null where key = $1 and sequence = 2", key)

        async def all_there() -> bool:
            return await effects(pool, key) == [1, 2, 3]

        await eventually(all_there)
        assert await pool.fetchval("select count(*) from held_events where key = $1", key) == 0


async def test_a_consumer_that_starts_anew_reads_on_where_the_database_says(
    pool: Pool, database: str, settings: KafkaSettings, source: str
) -> None:
    key = a_key()
    group = f"test.{uuid.uuid4().hex}"
    async with relaying(database, settings):
        for round_ in (1, 2):
            async with consuming(pool, settings, group):
                await emit(pool, source, key, 10)
                wanted = list(range(1, round_ * 10 + 1))

                async def all_there(wanted: list[int] = wanted) -> bool:
                    return await effects(pool, key) == wanted

                await eventually(all_there)


async def test_a_database_restored_to_the_past_reads_again_what_it_lost(
    pool: Pool, database: str, settings: KafkaSettings, source: str
) -> None:
    key = a_key()
    async with relaying(database, settings):
        async with consuming(pool, settings):
            await emit(pool, source, key, 10)

            async def all_there() -> bool:
                return await effects(pool, key) == list(range(1, 11))

            await eventually(all_there)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("delete from effects where key = $1 and sequence > 4", key)
            await connection.execute(
                "update positions set last_sequence = 4, last_event_id = (select event_id from outbox "
                "where key = $1 and sequence = 4) where key = $1",
                key,
            )
            await connection.execute("update consumer_offsets set next_offset = 0")
        async with consuming(pool, settings):
            await eventually(all_there)


async def test_what_is_published_is_a_cloudevent_in_binary_mode(
    pool: Pool, database: str, settings: KafkaSettings, source: str
) -> None:
    key = a_key()
    sent = await emit(pool, source, key, 2)
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
    assert {envelope.source for envelope, _ in found} == {source}
