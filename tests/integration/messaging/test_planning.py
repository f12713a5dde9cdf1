"""Statements that run for every turn of work are planned once, and not each time anew."""

import uuid
from datetime import UTC, datetime

import pytest

from shared.messaging import positions
from shared.messaging.ordering import Position
from shared.messaging.records import Stream
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.pool import Connection, Pool
from shared.persistence.statements import FEW
from tests.integration.messaging.delivery import a_key
from tests.unit.messaging.crafted import SOURCE, closed_event

#: PostgreSQL plans a statement anew so many times before it asks itself whether that pays.
_TRIED = 5


async def _plans(connection: Connection, begins: str) -> list[tuple[int, int]]:
    """How often each prepared statement that begins like this was planned anew, and how often not."""
    rows = await connection.fetch(
        """
        select custom_plans, generic_plans from pg_prepared_statements
        where ltrim(statement, E' \\n') like $1 || '%'""",
        begins,
    )
    return [(row["custom_plans"], row["generic_plans"]) for row in rows]


async def _save_events(connection: Connection, count: int) -> None:
    async with connection.transaction():
        work = UnitOfWork(connection, SOURCE, datetime.now(UTC))
        for _ in range(count):
            event = closed_event(key := a_key())
            work.emit(event, key=key, correlation_id=event.concern_id)
        await work.flush()


@pytest.mark.parametrize("count", [1, 3])
async def test_saving_few_events_is_planned_once(pool: Pool, count: int) -> None:
    async with pool.acquire() as connection:
        for _ in range(20):
            await _save_events(connection, count)
        assert await _plans(connection, "with incoming") == [(_TRIED, 20 - _TRIED)]


@pytest.mark.parametrize("count", [1, 3])
async def test_loading_few_positions_is_planned_once(pool: Pool, count: int) -> None:
    async with pool.acquire() as connection:
        for _ in range(20):
            await positions.load(connection, [Stream("topic", SOURCE, a_key()) for _ in range(count)])
        assert await _plans(connection, "select w.topic") == [(_TRIED, 20 - _TRIED)]


async def test_few_and_many_come_to_the_same(pool: Pool) -> None:
    streams = [Stream("topic", SOURCE, a_key()) for _ in range(FEW + 1)]
    async with pool.acquire() as connection:
        await positions.save(connection, {stream: Position(n, uuid.uuid4()) for n, stream in enumerate(streams, 1)})
        together = await positions.load(connection, streams)
        assert together == await positions.load(connection, streams[:-1]) | await positions.load(
            connection, streams[-1:]
        )
        await _save_events(connection, FEW)
        await _save_events(connection, FEW + 1)
        assert await connection.fetchval("select count(*) from outbox_unsent") == 2 * FEW + 1
        assert {row["last_sequence"] for row in await connection.fetch("table outbox_counters")} == {1}
