"""What the outbox takes: an event once, whoever repeats it, and none while the service may not emit."""

import asyncio
import uuid
from datetime import UTC, datetime

import asyncpg
import pytest

from shared.contracts.concerns import ConcernClosed
from shared.contracts.registry import Topic
from shared.messaging import outbox, wake
from shared.messaging.consuming.inbox import Inbox
from shared.messaging.consuming.reactions import Reacting, Reactions, Received
from shared.messaging.event_ids import derived
from shared.messaging.outbox import EmissionRefused, NewEvent
from shared.messaging.unit_of_work import unit_of_work
from shared.persistence.failures import is_passing
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import Workspace, a_key, a_source, emit, load, save
from tests.unit.messaging.crafted import CLOSED, SOURCE, closed_event, record

TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


def reaction_to(cause: uuid.UUID, key: str, index: int) -> NewEvent:
    """What a reaction emits because of an event."""
    return NewEvent(
        id=derived(cause, SOURCE, CLOSED.type, "a subject", index),
        data=closed_event(key),
        key=key,
        time=datetime.now(UTC),
        correlation_id=cause,
        causation_id=cause,
        traceparent=TRACE,
    )


async def save_all(pool: Pool, *events: NewEvent) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await outbox.save(connection, SOURCE, events)


async def numbers(pool: Pool) -> list[tuple[str, int, uuid.UUID]]:
    rows = await pool.fetch("select key, sequence, event_id from outbox order by position")
    return [(row["key"], row["sequence"], row["event_id"]) for row in rows]


async def test_an_event_that_a_repeated_reaction_emits_again_is_left_out_and_takes_no_number(pool: Pool) -> None:
    one, other, cause, next_cause = a_key(), a_key(), uuid.uuid4(), uuid.uuid4()
    first = [reaction_to(cause, one, 0), reaction_to(cause, other, 1)]
    await save_all(pool, *first)
    between = reaction_to(cause, one, 2)
    follows = reaction_to(next_cause, one, 0)
    await save_all(pool, first[0], between, first[1], follows)
    assert await numbers(pool) == [
        (one, 1, first[0].id),
        (other, 1, first[1].id),
        (one, 2, between.id),
        (one, 3, follows.id),
    ]
    counters = await pool.fetch("select key, last_sequence from outbox_counters")
    assert {row["key"]: row["last_sequence"] for row in counters} == {one: 3, other: 1}
    assert await pool.fetchval("select count(*) from outbox_unsent") == 4


async def test_nothing_is_emitted_while_the_service_may_not(pool: Pool) -> None:
    key = a_key()
    await emit(pool, key, 1)
    await pool.execute("insert into outbox_fence (reason) values ('the reason')")
    with pytest.raises(EmissionRefused, match=r"the reason.*qc outbox recover") as refused:
        async with unit_of_work(pool, SOURCE, datetime.now(UTC)) as work:
            await work.connection.execute("insert into effects (key) values ($1)", key)
            work.emit(closed_event(key), key=key, correlation_id=uuid.uuid4())
    assert is_passing(refused.value), "a consumer must wait for the operator, and park nothing"
    with pytest.raises(EmissionRefused):
        await save_all(pool, reaction_to(uuid.uuid4(), key, 0))
    assert await pool.fetchval("select count(*) from effects") == 0
    assert await pool.fetchval("select last_sequence from outbox_counters where key = $1", key) == 1
    await pool.execute("delete from outbox_fence")
    await emit(pool, key, 1)
    assert [sequence for _, sequence, _ in await numbers(pool)] == [1, 2]


async def test_what_emits_nothing_goes_on_while_the_service_may_not_emit(pool: Pool) -> None:
    await pool.execute("insert into outbox_fence (reason) values ('the reason')")
    async with unit_of_work(pool, SOURCE, datetime.now(UTC)) as work:
        await work.connection.execute("insert into effects (key) values ('x')")
    assert await pool.fetchval("select count(*) from effects") == 1


async def test_a_relay_of_this_process_is_woken_after_the_commit_and_nobody_is_notified(
    pool: Pool, database: str
) -> None:
    source, woken = a_source(), asyncio.Event()
    heard: list[object] = []
    listener = await asyncpg.connect(database)
    try:
        await listener.add_listener(outbox.WAKE_CHANNEL, lambda *_: heard.append(1))
        with wake.listening(source, woken):
            async with unit_of_work(pool, source, datetime.now(UTC)) as work:
                key = a_key()
                work.emit(closed_event(key), key=key, correlation_id=uuid.uuid4())
                await work.connection.execute("select")
                assert not woken.is_set()
            assert woken.is_set()
        await listener.execute("select")
        assert heard == []
        await emit(pool, a_key(), 1)
        await listener.execute("select")
        assert heard == [1], "a relay in another process hears of it from the database"
    finally:
        await listener.close()


async def test_a_relay_is_not_woken_for_a_batch_that_brings_nothing_about(pool: Pool) -> None:
    source, woken, key = a_source(), asyncio.Event(), a_key()
    reactions = Reactions(load=load, save=save)

    @reactions.on(ConcernClosed)
    def closed(work: Workspace, event: Received[ConcernClosed], reacting: Reacting) -> None:
        if event.envelope.sequence == 2:
            reacting.emit(closed_event(key))

    await pool.execute("insert into consumer_offsets values ($1, 0, 'test', 0)", Topic.CONCERNS.value)
    inbox = Inbox(pool, source, reactions)
    with wake.listening(source, woken):
        await inbox.apply([record(1, key=key, offset=0)], datetime.now(UTC), {})
        assert not woken.is_set()
        await inbox.apply([record(2, key=key, offset=1)], datetime.now(UTC), {})
        assert woken.is_set()
