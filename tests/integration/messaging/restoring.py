"""Databases restored to the past, as tests of recovery need them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import shared.messaging
from shared.contracts.concerns import ConcernClosed
from shared.contracts.fields import Category, EventData, Origin, VisitKind
from shared.contracts.visits import VisitRequired
from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming.consumer import Consumer
from shared.messaging.consuming.handlers import Received
from shared.messaging.consuming.reactions import Reacting, Reactions
from shared.messaging.operator_actions import Operator
from shared.persistence import migrations
from shared.persistence.pool import Connection, Pool, open_pool
from tests.fixtures.infrastructure import PostgresServer
from tests.integration.messaging.delivery import Workspace

OPERATOR = Operator("staff-1", "the test says so")

EFFECTS = "create table effects (n bigint generated always as identity, event_id uuid, key text, sequence bigint)"


async def prepared(dsn: str) -> Pool:
    """A pool on a database that has the tables of delivery."""
    pool = await open_pool(dsn, name="test")
    async with pool.acquire() as connection:
        await migrations.migrate(connection, "messaging", Path(shared.messaging.__file__).parent / "migrations")
        await connection.execute(EFFECTS.replace("create table", "create table if not exists"))
    return pool


async def snapshot(server: PostgresServer, dsn: str, into: str) -> None:
    """Copy a database into an empty one, as a backup would hold it."""
    original, copy = dsn.rpartition("/")[2], into.rpartition("/")[2]
    connection = await server.connect()
    try:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = any($1::text[])", [original, copy]
        )
        await connection.execute(f"drop database {copy}")
        await connection.execute(f"create database {copy} template {original}")
    finally:
        await connection.close()


async def _load(connection: Connection, events: Sequence[Received[EventData]]) -> Workspace:
    return Workspace()


async def _save(connection: Connection, work: Workspace) -> None:
    await connection.executemany("insert into effects (event_id, key, sequence) values ($1, $2, $3)", work.seen)


def requiring_visits(of: str) -> Reactions[Workspace]:
    """A stage that requires a visit for every concern that one source closes, and keeps what it reacted to."""
    reactions = Reactions(load=_load, save=_save)

    @reactions.on(ConcernClosed)
    def closed(work: Workspace, event: Received[ConcernClosed], reacting: Reacting) -> None:
        if event.envelope.source == of:
            work.seen.append((event.id, event.envelope.key, event.envelope.sequence))
            reacting.emit(visit_required(event.data))

    return reactions


def keeping_visits() -> Reactions[Workspace]:
    """A stage that keeps the visits that others require."""
    reactions = Reactions(load=_load, save=_save)

    @reactions.on(VisitRequired)
    def required(work: Workspace, event: Received[VisitRequired], reacting: Reacting) -> None:
        work.seen.append((event.id, event.envelope.key, event.envelope.sequence))

    return reactions


def visit_required(closed: ConcernClosed) -> VisitRequired:
    return VisitRequired(
        requirement_id=uuid.uuid5(closed.concern_id, "visit"),
        provider=closed.provider,
        concern_id=closed.concern_id,
        category=next(iter(Category)),
        kind=next(iter(VisitKind)),
        latest_date=date(2024, 6, 1),
        policy_version="1",
        origin=Origin.REPORTED,
    )


@asynccontextmanager
async def consuming_as(
    pool: Pool, settings: KafkaSettings, source: str, reactions: Reactions[Workspace]
) -> AsyncIterator[Consumer]:
    consumer = Consumer(
        pool=pool,
        kafka=settings,
        group=f"test.{uuid.uuid4().hex}",
        source=source,
        reactions=reactions,
        batch_size=100,
    )
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        consumer.stop()
        await asyncio.wait_for(task, 15)


async def troubles(pool: Pool, source: str) -> list[str]:
    """What was not simply applied of a source: conflicts, gaps, parked streams."""
    rows = await pool.fetch(
        """
        select 'dead: ' || reason || ' ' || error as trouble from dead_letters where source = $1
        union all select 'held: ' || sequence from held_events where source = $1
        union all select 'parked: ' || error from parked_streams where source = $1""",
        source,
    )
    return [row["trouble"] for row in rows]
