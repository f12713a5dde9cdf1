"""A service whose database was restored to the past: what it may do, and how it comes up to what it published."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.messaging import operator_actions, status
from shared.messaging.broker import KafkaSettings
from shared.messaging.outbox import EmissionRefused
from shared.messaging.relaying.recovery import Recovery, recover
from shared.messaging.relaying.relay import Relay
from shared.persistence.pool import Pool
from tests.fixtures.infrastructure import PostgresServer
from tests.integration.messaging.delivery import (
    a_key,
    a_source,
    applied,
    consuming,
    emit,
    end_connections,
    eventually,
    read_numbers,
    reading,
    relaying,
)
from tests.integration.messaging.restoring import (
    OPERATOR,
    consuming_as,
    keeping_visits,
    prepared,
    requiring_visits,
    snapshot,
    troubles,
)

NewDatabase = Callable[[], Awaitable[str]]


async def all_sent(pool: Pool) -> None:
    async def check() -> bool:
        return await pool.fetchval("select count(*) from outbox_unsent") == 0

    await eventually(check)


async def numbers(pool: Pool, key: str) -> list[int]:
    rows = await pool.fetch("select sequence from outbox where key = $1 order by position", key)
    return [row["sequence"] for row in rows]


async def is_fenced(relay: Relay) -> None:
    async def check() -> bool:
        return relay.problem is not None and "qc outbox recover" in relay.problem

    await eventually(check)


async def run_recover(pool: Pool, settings: KafkaSettings, source: str, *, dry_run: bool = False) -> Recovery:
    async with pool.acquire() as connection:
        return await recover(connection, settings, source, OPERATOR, dry_run=dry_run)


async def emit_and_send(dsn: str, settings: KafkaSettings, source: str, **counts: int) -> None:
    """Emit so many events of each key, and wait until they are sent."""
    pool = await prepared(dsn)
    try:
        async with relaying(dsn, settings, source):
            for key, count in counts.items():
                await emit(pool, key, count, source=source)
            await all_sent(pool)
    finally:
        await pool.close()


@pytest.mark.needs_apache  # the embedded broker gives the ends of its logs too early
async def test_a_restored_producer_emits_nothing_before_it_is_recovered_and_then_nothing_is_taken_for_a_repeat(
    pool: Pool, settings: KafkaSettings, postgres_server: PostgresServer, new_database: NewDatabase
) -> None:
    source, key, quiet, new = a_source(), a_key(), a_key(), a_key()
    database, backup = await new_database(), await new_database()
    await emit_and_send(database, settings, source, **{key: 5, quiet: 2})
    await snapshot(postgres_server, database, backup)
    await emit_and_send(database, settings, source, **{key: 4, new: 1})
    async with consuming(pool, settings):
        await applied(pool, key, range(1, 10))
        await applied(pool, new, [1])

        restored = await prepared(backup)
        async with relaying(backup, settings, source) as relay:
            await is_fenced(relay)
            for one in (key, quiet, new):
                with pytest.raises(EmissionRefused):
                    await emit(restored, one, 1, source=source)
            async with restored.acquire() as connection:
                assert (await status.read(connection)).outbox_fenced

            would_do = await run_recover(restored, settings, source, dry_run=True)
            assert (await numbers(restored, key), await is_fenced(relay)) == ([1, 2, 3, 4, 5], None)
            done = await run_recover(restored, settings, source)
            assert would_do.adopted == done.adopted
            assert [
                (e.key, e.sequence, e.is_repeated) for e in sorted(done.adopted, key=lambda e: (e.key, e.sequence))
            ] == sorted([(key, n, False) for n in range(6, 10)] + [(new, 1, False)])
            assert {(c.key, c.before, c.after) for c in done.counters} == {(key, 5, 9), (new, 0, 1)}
            assert (done.conflicts, done.renumbered, done.fence is None) == ([], 0, False)
            async with restored.acquire() as connection:
                (action,) = await operator_actions.of_target(connection, source)
            assert (action.actor, action.action) == (OPERATOR.actor, "outbox.recovered")
            assert set(action.detail["adopted"]) == {str(e.event_id) for e in done.adopted}

            for one in (key, quiet, new):
                await emit(restored, one, 3, source=source)
            await all_sent(restored)
            assert relay.problem is None
        await applied(pool, key, range(1, 13))
        await applied(pool, quiet, range(1, 6))
        await applied(pool, new, range(1, 5))
        assert await troubles(pool, source) == []
        assert await numbers(restored, key) == list(range(1, 13))
        await restored.close()


@pytest.mark.needs_apache  # the embedded broker gives the ends of its logs too early
async def test_what_was_saved_and_unsent_when_the_backup_was_made_is_neither_lost_nor_sent_under_another_number(
    pool: Pool, settings: KafkaSettings, postgres_server: PostgresServer, new_database: NewDatabase
) -> None:
    """Some of it was sent since, and an event that this database has lost came after it."""
    source, key, unsent_ever = a_source(), a_key(), a_key()
    database, backup = await new_database(), await new_database()
    await emit_and_send(database, settings, source, **{key: 2})
    producer = await prepared(database)
    await emit(producer, key, 3, source=source)
    await producer.close()
    await snapshot(postgres_server, database, backup)
    await emit_and_send(database, settings, source, **{key: 2})
    restored = await prepared(backup)
    # A command came before the relay had looked: it was given a number that is taken.
    await emit(restored, key, 2, source=source)
    await emit(restored, unsent_ever, 2, source=source)
    async with relaying(backup, settings, source) as relay, consuming(pool, settings):
        await is_fenced(relay)
        done = await run_recover(restored, settings, source)
        assert ([e.sequence for e in done.adopted], done.found_sent, done.renumbered) == ([6, 7], 3, 2)
        await all_sent(restored)
        await emit(restored, key, 1, source=source)
        await all_sent(restored)
        await applied(pool, key, range(1, 11))
        await applied(pool, unsent_ever, [1, 2])
        assert await troubles(pool, source) == []
    assert await numbers(restored, key) == list(range(1, 11))
    await restored.close()


@pytest.mark.needs_apache  # the embedded broker gives the ends of its logs too early
async def test_a_restored_service_whose_lost_events_all_came_from_reactions_catches_up_by_itself(
    pool: Pool, settings: KafkaSettings, postgres_server: PostgresServer, new_database: NewDatabase
) -> None:
    office, keys = a_source().split("/")[1], [a_key() for _ in range(3)]
    cause, source = f"/{office}/intelligence", f"/{office}/visits"
    producers, database, backup = await new_database(), await new_database(), await new_database()
    await emit_and_send(producers, settings, cause, **dict.fromkeys(keys, 4))
    stage = await prepared(database)
    async with relaying(database, settings, source), consuming_as(stage, settings, source, requiring_visits(cause)):
        for key in keys:
            await applied(stage, key, range(1, 5))
        await all_sent(stage)
    await stage.close()
    await snapshot(postgres_server, database, backup)

    await emit_and_send(producers, settings, cause, **dict.fromkeys(keys, 6))
    stage = await prepared(database)
    async with relaying(database, settings, source), consuming_as(stage, settings, source, requiring_visits(cause)):
        for key in keys:
            await applied(stage, key, range(1, 11))
        await all_sent(stage)
    await stage.close()

    restored = await prepared(backup)
    async with consuming_as(pool, settings, f"/{office}/funding", keeping_visits()):
        for key in keys:
            await applied(pool, key, range(1, 11))
        # Its consumer repeats the reactions of two keys, one of them in part, before its relay has looked.
        async with consuming_as(restored, settings, source, requiring_visits(cause)):
            for key in keys:
                await applied(restored, key, range(1, 11))
        unsent = await restored.fetchval("select count(*) from outbox_unsent")
        await restored.execute(
            "with late as (delete from outbox where key = $1 and sequence > 4 returning position) "
            "delete from outbox_unsent where position in (select position from late)",
            keys[0],
        )
        await restored.execute("update outbox_counters set last_sequence = 4 where key = $1", keys[0])
        assert unsent == 18
        # In another order than the first time, so that numbers differ.
        await restored.execute("update outbox set sequence = 100 + sequence where key = $1 and sequence > 4", keys[1])
        await restored.execute("update outbox set sequence = 115 - sequence where key = $1 and sequence > 4", keys[1])
        async with (
            relaying(backup, settings, source) as relay,
            consuming_as(restored, settings, source, requiring_visits(cause)),
        ):
            await all_sent(restored)

            async def works() -> bool:
                return relay.problem is None

            await eventually(works)
            await emit_and_send(producers, settings, cause, **dict.fromkeys(keys, 2))
            for key in keys:
                await applied(pool, key, range(1, 13))
        for key in keys:
            assert sorted(await numbers(restored, key)) == list(range(1, 13))
        assert await troubles(pool, source) == []
        assert await restored.fetchval("select count(*) from outbox_fence") == 0
    await restored.close()


@pytest.mark.needs_apache  # the embedded broker gives the ends of its logs too early
async def test_a_fence_outlives_the_relay_and_the_connections_of_who_put_it_up(
    pool: Pool, settings: KafkaSettings, postgres_server: PostgresServer, new_database: NewDatabase
) -> None:
    source, key = a_source(), a_key()
    database, backup = await new_database(), await new_database()
    await emit_and_send(database, settings, source, **{key: 1})
    await snapshot(postgres_server, database, backup)
    await emit_and_send(database, settings, source, **{key: 1})
    restored = await prepared(backup)
    async with relaying(backup, settings, source) as relay:
        for _ in range(5):
            await end_connections(restored)
            await asyncio.sleep(0.1)
        await is_fenced(relay)
        with pytest.raises(EmissionRefused):
            await emit(restored, key, 1, source=source)
    async with relaying(backup, settings, source) as one, relaying(backup, settings, source) as other:
        await is_fenced(one)
        await is_fenced(other)
        with pytest.raises(EmissionRefused):
            await emit(restored, key, 1, source=source)
        await run_recover(restored, settings, source)
        await emit(restored, key, 1, source=source)
        await all_sent(restored)
    assert await numbers(restored, key) == [1, 2, 3]
    await restored.close()


@pytest.mark.needs_apache  # the embedded broker gives the ends of its logs too early
async def test_what_a_killed_relay_had_sent_and_not_marked_is_known_and_not_sent_again(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    source, key = a_source(), a_key()
    async with relaying(database, settings, source):
        await emit(pool, key, 5, source=source)
        await all_sent(pool)
    # As it is when the process ends between the broker's answer and the mark.
    await pool.execute("insert into outbox_unsent select position from outbox where sequence > 2")
    await pool.execute("update relay_acknowledged set next_offset = 0")
    async with pool.acquire() as connection:
        done = await recover(connection, settings, source, OPERATOR, dry_run=True)
    assert (done.found_sent, done.adopted, done.renumbered) == (3, [], 0)
    async with reading(settings.bootstrap) as reader:
        async with relaying(database, settings, source) as relay:
            await emit(pool, key, 1, source=source)
            await all_sent(pool)
            assert relay.problem is None
        assert await read_numbers(reader, [key]) == {key: [6]}
    assert await numbers(pool, key) == [1, 2, 3, 4, 5, 6]


async def test_rows_that_were_pruned_are_no_sign_of_a_restored_database(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    source, key = a_source(), a_key()
    async with relaying(database, settings, source):
        await emit(pool, key, 5, source=source)
        await all_sent(pool)
    await pool.execute("delete from outbox where sequence < 4")
    async with relaying(database, settings, source) as relay:
        await emit(pool, key, 1, source=source)
        await all_sent(pool)
        assert relay.problem is None
    async with pool.acquire() as connection:
        done = await recover(connection, settings, source, OPERATOR)
    assert (done.read, done.adopted, done.counters) == (6, [], [])
    # Nor when it is not known how far the cluster had acknowledged them.
    await pool.execute("delete from relay_acknowledged")
    async with relaying(database, settings, source) as relay:
        await emit(pool, key, 1, source=source)
        await all_sent(pool)
        assert relay.problem is None
