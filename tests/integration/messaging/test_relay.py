"""The relay: what it does when the broker, the database, another relay or a record stands in its way."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.sender import Sender

from shared.contracts.registry import MAX_VALUE_BYTES, PARTITIONS, Topic
from shared.messaging import outbox, status
from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming import dead_letters
from shared.messaging.outbox import EventTooLarge, InvalidKey
from shared.messaging.records import Defect, undeliverable
from shared.messaging.relaying import dead_letter_topic
from shared.messaging.topics import DEAD_LETTERS_TOPIC
from shared.messaging.unit_of_work import UnitOfWork, unit_of_work
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import (
    OwnBroker,
    a_key,
    applied,
    consuming,
    effects,
    emit,
    end_connections,
    eventually,
    new_relay,
    once,
    read_numbers,
    reading,
    relaying,
    set_largest_record,
)
from tests.unit.messaging.crafted import SOURCE, closed_event, record


async def unsent(pool: Pool) -> int:
    return await pool.fetchval("select count(*) from outbox_unsent")


async def all_sent(pool: Pool, *, within: float = 30) -> None:
    async def check() -> bool:
        return await unsent(pool) == 0

    await eventually(check, within=within)


async def stopped_keys(pool: Pool) -> set[str]:
    return {row["key"] for row in await pool.fetch("select key from relay_stops")}


# What is saved


async def test_an_event_that_no_topic_would_take_is_refused_with_its_change(pool: Pool) -> None:
    key = a_key()
    with pytest.raises(EventTooLarge):
        await emit(pool, key, 1)
        async with unit_of_work(pool, SOURCE, datetime.now(UTC)) as work:
            event = closed_event(key).model_copy(update={"reference": "x" * MAX_VALUE_BYTES})
            work.emit(event, key=key, correlation_id=event.concern_id)
    assert await pool.fetchval("select last_sequence from outbox_counters where key = $1", key) == 1


async def test_an_event_whose_key_no_consumer_could_read_is_refused_with_its_change(pool: Pool) -> None:
    with pytest.raises(InvalidKey):
        async with unit_of_work(pool, SOURCE, datetime.now(UTC)) as work:
            event = closed_event(a_key())
            work.emit(event, key="no ods code", correlation_id=event.concern_id)
    assert await pool.fetchval("select count(*) from outbox") == 0


async def test_only_sent_rows_saved_long_ago_are_pruned(pool: Pool) -> None:
    await emit(pool, a_key(), 4)
    await pool.execute("update outbox set saved_at = now() - interval '15 days' where sequence in (1, 3)")
    await pool.execute("update outbox set saved_at = now() - interval '13 days' where sequence = 2")
    await pool.execute("delete from outbox_unsent where position in (select position from outbox where sequence < 3)")
    async with pool.acquire() as connection:
        assert await outbox.prune(connection, datetime.now(UTC) - timedelta(days=14)) == 1
    assert [r["sequence"] for r in await pool.fetch("select sequence from outbox order by 1")] == [2, 3, 4]


# A record that stands in the way


async def test_a_row_that_cannot_be_an_event_stops_its_key_and_no_other(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    bad, good = a_key(), a_key()
    for key in (bad, good):
        await emit(pool, key, 3)
    await pool.execute("update outbox set subject = '' where key = $1 and sequence = 2", bad)
    async with reading(settings.bootstrap) as reader:
        async with relaying(database, settings) as running:

            async def the_rest_is_sent() -> bool:
                return await unsent(pool) == 2 and await stopped_keys(pool) == {bad}

            await eventually(the_rest_is_sent)
            assert running.problem is None
            await emit(pool, good, 1)

            async def goes_on() -> bool:
                return await unsent(pool) == 2

            await eventually(goes_on)
        found = await read_numbers(reader, [bad, good])
    assert (found[bad], found[good]) == ([1], [1, 2, 3, 4])


@pytest.mark.needs_apache
async def test_a_record_the_broker_refuses_stops_its_key_and_no_other_until_it_is_taken(
    pool: Pool, database: str, own_broker: OwnBroker
) -> None:
    stopped, keys = a_key(), [a_key() for _ in range(20)]
    try:
        async with relaying(database, own_broker.settings), consuming(pool, own_broker.settings):
            for key in (stopped, *keys):
                await emit(pool, key, 1)
            await all_sent(pool)
            await set_largest_record(own_broker.bootstrap, Topic.CONCERNS, 100_000)
            # More than the relay reads at once, so that others follow the refused one while it is on its way.
            async with pool.acquire() as connection, connection.transaction():
                work = UnitOfWork(connection, SOURCE, datetime.now(UTC))
                for key in (stopped, *keys) * 50:
                    work.emit(closed_event(key), key=key, correlation_id=uuid.uuid4())
                await work.flush()
                # A field that readers ignore, so that the event still keeps its contract.
                await connection.execute(
                    "update outbox set data = rtrim(data, '}') || ', \"note\": \"' || repeat('x', 150000) || '\"}' "
                    "where key = $1 and sequence = 3",
                    stopped,
                )

            async def others_are_sent() -> bool:
                left = await pool.fetch("select distinct key from outbox join outbox_unsent using (position)")
                return [row["key"] for row in left] == [stopped] and await stopped_keys(pool) == {stopped}

            await eventually(others_are_sent)
            for key in keys:
                await applied(pool, key, range(1, 52))
            assert await effects(pool, stopped) == [1, 2]
            async with pool.acquire() as connection:
                assert (await status.read(connection)).relay_stopped_keys == 1
            assert await pool.fetchval("select attempts from relay_stops") == 1

            await set_largest_record(own_broker.bootstrap, Topic.CONCERNS, 1_048_576)
            await pool.execute("update relay_stops set retry_at = now()")
            await all_sent(pool)
            assert await stopped_keys(pool) == set()
            await applied(pool, stopped, range(1, 52))
    finally:
        await set_largest_record(own_broker.bootstrap, Topic.CONCERNS, 1_048_576)


# The broker goes away


async def test_what_is_in_flight_is_not_sent_again(pool: Pool, database: str, settings: KafkaSettings) -> None:
    keys = [a_key() for _ in range(20)]
    async with unit_of_work(pool, SOURCE, datetime.now(UTC)) as work:  # several times what the relay reads at once
        for key in keys * 300:
            work.emit(closed_event(key), key=key, correlation_id=uuid.uuid4())
    async with reading(settings.bootstrap) as reader:
        async with relaying(database, settings):
            await all_sent(pool)
        found = await read_numbers(reader, keys)
    assert found == {key: list(range(1, 301)) for key in keys}


async def test_what_is_read_together_goes_to_the_broker_in_one_request(
    pool: Pool, database: str, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [a_key() for _ in range(8)]
    for key in keys:
        await emit(pool, key, 2)
    requests: list[int] = []
    usual = Sender._send_produce_req  # pyright: ignore[reportPrivateUsage] there is nothing public that counts them

    async def counting(self: Sender, node_id: int, batches: dict[TopicPartition, object]) -> None:
        requests.append(len(batches))
        await usual(self, node_id, batches)

    monkeypatch.setattr(Sender, "_send_produce_req", counting)
    async with reading(settings.bootstrap) as reader:
        async with relaying(database, settings):
            await all_sent(pool)
        found = await read_numbers(reader, keys)
    every = list(range(PARTITIONS))
    assert requests == [len({DefaultPartitioner()(key.encode(), every, every) for key in keys})]
    assert found == {key: [1, 2] for key in keys}


async def test_stopping_sends_what_is_saved(pool: Pool, database: str, settings: KafkaSettings) -> None:
    async with relaying(database, settings):
        await emit(pool, a_key(), 1)
        await all_sent(pool)  # it leads now
        for key in [a_key() for _ in range(10)]:
            await emit(pool, key, 100)
    assert await unsent(pool) == 0


@pytest.mark.needs_apache
async def test_stopping_ends_in_time_when_the_broker_dies_with_records_in_flight(
    pool: Pool, database: str, own_broker: OwnBroker
) -> None:
    running = new_relay(database, own_broker.settings)
    task = asyncio.create_task(running.run())
    await emit(pool, a_key(), 1)
    await all_sent(pool)
    await own_broker.kill()
    await emit(pool, a_key(), 10)
    await asyncio.sleep(0.5)
    started = time.monotonic()
    running.stop()
    await asyncio.wait_for(task, 15)
    assert time.monotonic() - started < 5
    assert await unsent(pool) == 10
    # Nothing of it goes on in the background, to send the same again once there is a broker.
    assert [task for task in asyncio.all_tasks() if "Sender" in repr(task.get_coro())] == []


async def test_stopping_ends_in_time_when_there_is_no_broker(pool: Pool, database: str) -> None:
    nowhere = KafkaSettings("127.0.0.1:1", "test")
    await emit(pool, a_key(), 1)
    async with relaying(database, nowhere) as running:
        await asyncio.sleep(0.5)
        assert running.problem is not None
        started = time.monotonic()
    assert time.monotonic() - started < 5


# The database goes away, or another relay is there


async def test_lost_connections_delay_and_lose_nothing(pool: Pool, database: str, settings: KafkaSettings) -> None:
    keys = [a_key() for _ in range(5)]
    async with reading(settings.bootstrap) as reader:
        async with relaying(database, settings) as running:
            for _ in range(6):
                for key in keys:
                    await emit(pool, key, 20)
                await end_connections(pool, of="test relay")
            await all_sent(pool)
            assert running.problem is None
        found = await read_numbers(reader, keys)
    assert {key: once(numbers) for key, numbers in found.items()} == {key: list(range(1, 121)) for key in keys}


async def test_of_two_relays_one_sends_and_the_other_takes_over(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    key = a_key()

    async def leaders() -> list[int]:
        rows = await pool.fetch(
            "select pid from pg_locks where locktype = 'advisory' and granted "
            "and database = (select oid from pg_database where datname = current_database())"
        )
        return [row["pid"] for row in rows]

    async with reading(settings.bootstrap) as reader:
        async with relaying(database, settings) as one, relaying(database, settings) as other:
            await emit(pool, key, 50)
            await all_sent(pool)
            (leader,) = await leaders()
            assert (one.problem, other.problem) == (None, None)
            await pool.fetchval("select pg_terminate_backend($1)", leader)
            await emit(pool, key, 50)
            await all_sent(pool)

            async def another_leads() -> bool:
                found = await leaders()
                return len(found) == 1 and found != [leader]

            await eventually(another_leads)
        found = await read_numbers(reader, [key])
    assert once(found[key]) == list(range(1, 101))


async def test_a_relay_works_without_being_woken(pool: Pool, database: str, settings: KafkaSettings) -> None:
    async with relaying(database, settings):
        await emit(pool, a_key(), 1)
        await all_sent(pool)
        async with pool.acquire() as connection, connection.transaction():
            await emit_silently(pool)
        await all_sent(pool, within=5)


async def emit_silently(pool: Pool) -> None:
    """Save an event as if the notification had been lost."""
    await pool.execute(
        """
        with saved as (
            insert into outbox (event_id, type, source, subject, topic, key, sequence, time, correlation_id,
                                traceparent, data)
            select gen_random_uuid(), type, source, subject, topic, key, 2, time, correlation_id, traceparent, data
            from outbox limit 1
            returning position
        )
        insert into outbox_unsent select position from saved"""
    )


# Dead letters


async def test_dead_letters_are_copied_to_their_topic_beside_the_events(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    unreadable = undeliverable(record(key=a_key(), offset=7), Defect.UNREADABLE, "a test says so")
    async with reading(settings.bootstrap, DEAD_LETTERS_TOPIC) as reader:
        async with relaying(database, settings) as running:
            await emit(pool, a_key(), 1)
            await all_sent(pool)
            async with pool.acquire() as connection:
                await dead_letters.keep(connection, [unreadable])

            async def is_copied() -> bool:
                return await pool.fetchval("select count(*) from dead_letters where published_at is not null") == 1

            await eventually(is_copied)
            assert running.problem is None
        copies = [copy for fetched in (await reader.getmany(timeout_ms=5_000)).values() for copy in fetched]
    (copy,) = [copy for copy in copies if copy.key == unreadable.record.key]
    assert dict(copy.headers)["dl_offset"] == b"7"


@pytest.mark.needs_apache  # the embedded broker makes a topic that is missing
async def test_events_go_on_while_the_topic_of_dead_letters_is_away(
    pool: Pool, database: str, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_topic, "DEAD_LETTERS_TOPIC", "a.topic.that.is.not.there")
    async with pool.acquire() as connection:
        letter = undeliverable(record(key=a_key()), Defect.UNREADABLE, "a test says so")
        await dead_letters.keep(connection, [letter])
    async with relaying(database, settings) as running:
        for _ in range(4):
            await emit(pool, a_key(), 10)
            await all_sent(pool, within=5)
            await asyncio.sleep(1)
        assert running.problem is None
    assert await pool.fetchval("select count(*) from dead_letters where published_at is null") == 1
