"""The consumer: when the broker is gone, or its log is not what it was."""

import asyncio
import signal
import uuid
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from shared.contracts.registry import PARTITIONS, Topic
from shared.messaging import offsets
from shared.messaging.broker import KafkaSettings, cluster_id
from shared.messaging.consuming import consumer as consumer_module
from shared.messaging.consuming.inbox import Inbox
from shared.messaging.offsets import Partition
from shared.messaging.relaying import relay as relay_module
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import (
    OwnBroker,
    a_key,
    applied,
    consuming,
    emit,
    eventually,
    new_consumer,
    publish,
    ready,
    relaying,
)
from tests.unit.messaging.crafted import record

TOPIC = Topic.CONCERNS.value


@pytest.mark.needs_apache
async def test_a_killed_broker_delays_and_loses_nothing_and_readiness_says_so(
    pool: Pool, database: str, own_broker: OwnBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "ANSWER_AGE_LIMIT_S", 1.0)
    monkeypatch.setattr(relay_module, "ACKNOWLEDGE_LIMIT_S", 1.0)
    keys = [a_key() for _ in range(10)]
    settings = own_broker.settings
    async with relaying(database, settings) as relay, consuming(pool, settings) as consumer:
        await ready(consumer)
        for _ in range(5):
            await asyncio.gather(*(emit(pool, key, 20) for key in keys))
        await own_broker.kill()
        await asyncio.gather(*(emit(pool, key, 20) for key in keys))

        async def both_say_so() -> bool:
            return relay.problem is not None and consumer.problem is not None

        await eventually(both_say_so, within=6)
        await own_broker.start()
        for key in keys:
            await applied(pool, key, range(1, 121))
        await ready(consumer)
        assert relay.problem is None


@pytest.mark.needs_apache
async def test_the_log_of_another_cluster_is_read_from_its_beginning(
    pool: Pool, database: str, own_broker: OwnBroker
) -> None:
    keys = [a_key() for _ in range(5)]
    settings = own_broker.settings
    async with relaying(database, settings), consuming(pool, settings):
        for key in keys:
            await emit(pool, key, 5)
        for key in keys:
            await applied(pool, key, range(1, 6))
        await own_broker.replace()
        # More than before, and only in part what was there before: offsets alone would not show the difference.
        await pool.execute("insert into outbox_unsent select position from outbox where sequence > 3")
        for key in keys:
            await emit(pool, key, 10)
        for key in keys:
            await applied(pool, key, range(1, 16))


@pytest.mark.needs_apache
async def test_a_consumer_is_stopped_in_time_when_database_and_broker_fall_silent(
    pool: Pool, own_broker: OwnBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = asyncio.Event()

    async def no_answer(*_: object, **__: object) -> None:
        silent.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(Inbox, "apply", no_answer)
    task = asyncio.create_task((consumer := new_consumer(pool, own_broker.settings)).run())
    await publish(own_broker.settings, record(1, key=a_key()))
    await asyncio.wait_for(silent.wait(), 30)
    own_broker.signal(signal.SIGSTOP)
    try:
        started = asyncio.get_running_loop().time()
        consumer.stop()
        await asyncio.wait([task], timeout=30)
        assert asyncio.get_running_loop().time() - started < 5
        await task
    finally:
        own_broker.signal(signal.SIGCONT)


async def test_a_log_that_lost_its_end_is_read_anew_although_it_grows_past_what_was_read(
    pool: Pool, settings: KafkaSettings
) -> None:
    key = a_key()
    await begin_at_the_end(pool, settings)
    async with consuming(pool, settings) as consumer:
        await ready(consumer)
        await publish(settings, record(1, key=key), record(2, key=key))
        await applied(pool, key, [1, 2])
        # As if three more had been read of each partition before the broker lost them, and the client, told that its
        # offset is out of range, had gone to the beginning of what is left.
        await pool.execute("update consumer_offsets set next_offset = next_offset + 3")
        for number in range(PARTITIONS):
            consumer._placing.next_read[TopicPartition(TOPIC, number)] += 3
            consumer._placing.expected[TOPIC, number] += 3
        await publish(settings, *(record(n, key=key) for n in range(3, 9)))
        await applied(pool, key, range(1, 9))


async def begin_at_the_end(pool: Pool, settings: KafkaSettings) -> None:
    """Let the consumer of this database leave out what other tests have put into the topic."""
    reader = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=None)
    await reader.start()
    try:
        ends = await reader.end_offsets([TopicPartition(TOPIC, number) for number in range(PARTITIONS)])
    finally:
        await reader.stop()
    async with pool.acquire() as connection:
        await offsets.place(
            connection, await cluster_id(settings), {(tp.topic, tp.partition): 0 for tp in ends}, uuid.uuid4()
        )
        await connection.executemany(
            "update consumer_offsets set next_offset = $3, holder = null where topic = $1 and partition = $2",
            [(tp.topic, tp.partition, end) for tp, end in ends.items()],
        )


async def _last_key(settings: KafkaSettings, partition: TopicPartition) -> str:
    reader = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=None, auto_offset_reset="earliest")
    await reader.start()
    try:
        reader.assign([partition])
        end = (await reader.end_offsets([partition]))[partition]
        if end == 0:
            return ""
        reader.seek(partition, end - 1)
        last = await asyncio.wait_for(reader.getone(), 5)
        return (last.key or b"").decode()
    finally:
        await reader.stop()


@pytest.mark.needs_apache
async def test_a_stream_whose_beginning_retention_took_begins_at_what_is_left(
    pool: Pool, own_broker: OwnBroker
) -> None:
    settings, cut, whole = own_broker.settings, a_key(), a_key()
    await publish(settings, *(record(n, key=cut) for n in (1, 2, 3)))
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    reader = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=None)
    await admin.start()
    await reader.start()
    try:
        partitions = [TopicPartition(TOPIC, n) for n in range(PARTITIONS)]
        ends = await reader.end_offsets(partitions)
        where = {await _last_key(settings, tp): tp for tp in partitions if ends[tp]}
        await admin.delete_records({where[cut]: RecordsToDelete(before_offset=ends[where[cut]] - 1)})
    finally:
        await reader.stop()
        await admin.close()
    async with consuming(pool, settings):
        await applied(pool, cut, [3])
        await publish(settings, record(4, key=cut), record(1, key=whole))
        await applied(pool, cut, [3, 4])
        await applied(pool, whole, [1])
    baselines = await pool.fetch("select key, baseline from positions where key = any($1)", [cut, whole])
    assert dict(map(tuple, baselines)) == {cut: 3, whole: None}


async def test_a_rebalance_while_partitions_are_placed_places_them_anew(
    pool: Pool, database: str, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = a_key()
    async with relaying(database, settings):
        await emit(pool, key, 5)

        async def all_sent() -> bool:
            return await pool.fetchval("select count(*) from outbox_unsent") == 0

        await eventually(all_sent)
    client_of, place = consumer_module._client, offsets.place  # pyright: ignore[reportPrivateUsage]
    clients: list[AIOKafkaConsumer] = []
    where_kafka_says: dict[TopicPartition, int] = {}
    rebalanced = False

    def remembering(subscriber: Any) -> AIOKafkaConsumer:
        client = client_of(subscriber)
        clients.append(client)
        getmany = client.getmany

        async def from_where_kafka_says(**arguments: Any) -> Any:
            # What the client does after a rebalance by itself: it goes on at the group's committed offsets.
            for partition, offset in where_kafka_says.items():
                client.seek(partition, offset)
            where_kafka_says.clear()
            return await getmany(**arguments)

        monkeypatch.setattr(client, "getmany", from_where_kafka_says)
        return client

    async def place_while_rebalancing(*arguments: Any) -> dict[Partition, offsets.Placed]:
        nonlocal rebalanced
        placed = await place(*arguments)
        if not rebalanced:
            rebalanced = True
            client = clients[-1]
            where_kafka_says.update(await client.end_offsets(client.assignment()))
            await member.on_partitions_assigned(client.assignment())
        return placed

    monkeypatch.setattr(consumer_module, "_client", remembering)
    monkeypatch.setattr(offsets, "place", place_while_rebalancing)
    async with consuming(pool, settings) as member:
        await applied(pool, key, range(1, 6))
    assert rebalanced
