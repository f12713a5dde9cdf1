"""A broker that lost what it held: what the producers' databases keep is sent again, and nothing happens twice."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from shared.messaging import operator_actions
from shared.messaging.broker import KafkaSettings
from shared.messaging.outbox import EmissionRefused
from shared.messaging.relaying.republishing import Republished, republish
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import (
    OwnBroker,
    a_key,
    a_source,
    applied,
    consuming,
    emit,
    eventually,
    read_numbers,
    reading,
    relaying,
)
from tests.integration.messaging.restoring import OPERATOR, prepared, troubles

NewDatabase = Callable[[], Awaitable[str]]


async def all_sent(pool: Pool) -> None:
    async def check() -> bool:
        return await pool.fetchval("select count(*) from outbox_unsent") == 0

    await eventually(check)


async def run_republish(pool: Pool, since: datetime | None, *, dry_run: bool = False) -> Republished:
    async with pool.acquire() as connection:
        return await republish(connection, since, OPERATOR, dry_run=dry_run)


@pytest.mark.needs_apache
async def test_after_the_brokers_data_are_wiped_every_consumer_is_whole_and_no_effect_doubled(
    pool: Pool, database: str, own_broker: OwnBroker, new_database: NewDatabase
) -> None:
    """One consumer had all of it, one was behind when the broker was lost, and one is new."""
    source, settings, keys = a_source(), own_broker.settings, [a_key() for _ in range(6)]
    behind = await prepared(await new_database())
    newcomer = await prepared(await new_database())
    async with relaying(database, settings, source):
        for key in keys:
            await emit(pool, key, 10, source=source)
        async with consuming(pool, settings), consuming(behind, settings):
            for key in keys:
                await applied(pool, key, range(1, 11))
                await applied(behind, key, range(1, 11))
        for key in keys:
            await emit(pool, key, 10, source=source)
        await all_sent(pool)
        async with consuming(pool, settings, "the same"):
            for key in keys:
                await applied(pool, key, range(1, 21))
        await own_broker.replace()
        for key in keys[:3]:
            await emit(pool, key, 2, source=source)  # while the log is empty
        async with consuming(pool, settings), consuming(behind, settings), consuming(newcomer, settings):
            done = await run_republish(pool, None)
            assert sum(done.events.values()) >= 120
            for index, key in enumerate(keys):
                wanted = range(1, 23 if index < 3 else 21)
                await applied(pool, key, wanted)
                await applied(behind, key, wanted)
                await applied(newcomer, key, wanted)
            await all_sent(pool)
            for key in keys:
                await emit(pool, key, 1, source=source)
            for index, key in enumerate(keys):
                wanted = range(1, 24 if index < 3 else 22)
                await applied(pool, key, wanted)
                await applied(behind, key, wanted)
                await applied(newcomer, key, wanted)
            for consumer in (pool, behind, newcomer):
                assert await troubles(consumer, source) == []
    await behind.close()
    await newcomer.close()


@pytest.mark.needs_apache
async def test_what_was_pruned_is_not_missed_by_those_who_have_it(
    pool: Pool, database: str, own_broker: OwnBroker
) -> None:
    source, settings, key, other = a_source(), own_broker.settings, a_key(), a_key()
    async with relaying(database, settings, source):
        async with consuming(pool, settings):
            await emit(pool, key, 8, source=source)
            await emit(pool, other, 2, source=source)
            await applied(pool, key, range(1, 9))
            await applied(pool, other, [1, 2])
        await all_sent(pool)
        await pool.execute("delete from outbox where key = $1 and sequence <= 5", key)
        await own_broker.replace()
        done = await run_republish(pool, None)
        assert (done.events, done.begin_later) == ({"quality.concerns.v1": 5}, [("quality.concerns.v1", key)])
        await emit(pool, key, 2, source=source)
        async with consuming(pool, settings):
            await applied(pool, key, range(1, 11))
            await applied(pool, other, [1, 2])
        assert await troubles(pool, source) == []


async def test_events_saved_since_an_instant_are_sent_again_in_order_and_dropped_as_repeats(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    source, keys = a_source(), [a_key() for _ in range(5)]
    async with relaying(database, settings, source), consuming(pool, settings):
        for key in keys:
            await emit(pool, key, 10, source=source)
        await all_sent(pool)
        await pool.execute("update outbox set saved_at = now() - interval '1 hour' where sequence <= 4")
        since = datetime.now(UTC) - timedelta(minutes=30)
        async with reading(settings.bootstrap) as reader:
            would_do = await run_republish(pool, since, dry_run=True)
            assert await pool.fetchval("select count(*) from outbox_unsent") == 0
            done = await run_republish(pool, since)
            assert (done.events, would_do.events) == ({"quality.concerns.v1": 30}, {"quality.concerns.v1": 30})
            assert done.oldest_kept is not None and done.oldest_kept < since
            await all_sent(pool)
            for key in keys:
                await emit(pool, key, 1, source=source)
            await all_sent(pool)
            found = await read_numbers(reader, keys)
        assert found == {key: list(range(5, 12)) for key in keys}
        for key in keys:
            await applied(pool, key, range(1, 12))
        assert await troubles(pool, source) == []
    async with pool.acquire() as connection:
        (action,) = await operator_actions.of_target(connection, "outbox")
    assert (action.action, action.actor, action.detail["events"]) == ("outbox.republished", OPERATOR.actor, done.events)


async def test_nothing_is_sent_again_by_a_service_that_may_not_emit(pool: Pool) -> None:
    await emit(pool, a_key(), 1)
    await pool.execute("delete from outbox_unsent")
    await pool.execute("insert into outbox_fence (reason) values ('the reason')")
    with pytest.raises(EmissionRefused):
        await run_republish(pool, None)
    assert await pool.fetchval("select count(*) from outbox_unsent") == 0
