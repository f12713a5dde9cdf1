"""A log is known by the last record read of it: one that was cut or made anew is read from its beginning."""

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.messaging import topics
from shared.messaging.broker import KafkaSettings
from shared.messaging.records import Record
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import (
    OwnBroker,
    a_key,
    applied,
    consuming,
    effects,
    eventually,
    publish,
    ready,
)
from tests.integration.messaging.member import TOPIC
from tests.unit.messaging.crafted import record

PARTITION = 4


def stream(key: str, first: int, last: int) -> list[Record]:
    return [record(n, key=key) for n in range(first, last + 1)]


async def read_all(pool: Pool, settings: KafkaSettings) -> None:
    """Wait until all that lies in the topic has been taken in."""
    reader = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=None)
    await reader.start()
    try:
        ends = await reader.end_offsets([TopicPartition(TOPIC, number) for number in range(12)])
    finally:
        await reader.stop()

    async def taken_in() -> bool:
        rows = await pool.fetch("select partition, next_offset from consumer_offsets where topic = $1", TOPIC)
        found = {row["partition"]: row["next_offset"] for row in rows}
        return all(found.get(tp.partition, 0) >= end for tp, end in ends.items())

    await eventually(taken_in)


async def make_anew(settings: KafkaSettings) -> None:
    """Delete the topic and create it again, with nothing in it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([TOPIC])

        async def gone() -> bool:
            return TOPIC not in await admin.list_topics()

        await eventually(gone)
    finally:
        await admin.close()
    for _ in range(50):
        try:
            await topics.apply(settings.bootstrap)
            return
        except topics.TopicsNotReady:  # the old one is still being deleted
            await asyncio.sleep(0.2)
    pytest.fail("the topic was not made anew")


@pytest.mark.needs_apache
async def test_a_topic_made_anew_with_more_in_it_than_was_read_is_read_from_its_beginning(
    pool: Pool, own_broker: OwnBroker
) -> None:
    settings, group = own_broker.settings, f"test.{uuid.uuid4().hex}"
    before, after = a_key(), a_key()
    known = stream(before, 1, 7)
    async with consuming(pool, settings, group):
        await publish(settings, *known[:5], partition=PARTITION)
        await applied(pool, before, range(1, 6))
        await read_all(pool, settings)
    await make_anew(settings)
    # By offsets alone this is the same log, read up to number 5 of a stream of which nothing was ever seen.
    await publish(settings, *stream(after, 1, 40), *known[3:], partition=PARTITION)
    async with consuming(pool, settings, group) as consumer:
        await applied(pool, after, range(1, 41))
        await applied(pool, before, range(1, 8))
        await ready(consumer)
        await publish(settings, *stream(after, 41, 42), partition=PARTITION)
        await applied(pool, after, range(1, 43))


async def test_a_log_cut_below_what_was_read_and_filled_again_is_read_from_its_beginning(
    pool: Pool, settings: KafkaSettings
) -> None:
    group, old, new = f"test.{uuid.uuid4().hex}", a_key(), a_key()
    async with consuming(pool, settings, group):
        await publish(settings, *stream(old, 1, 3), partition=PARTITION)
        await applied(pool, old, range(1, 4))
        await read_all(pool, settings)
    await publish(settings, *stream(new, 1, 20), partition=PARTITION)
    # As if 15 other records had been read where the broker, which lost them, now holds the first 15 of these.
    await pool.execute(
        "update consumer_offsets set next_offset = next_offset + 15, last_record = sha256('another record') "
        "where topic = $1 and partition = $2",
        TOPIC,
        PARTITION,
    )
    async with consuming(pool, settings, group) as consumer:
        await applied(pool, new, range(1, 21))
        await ready(consumer)
        await read_all(pool, settings)
    assert await effects(pool, old) == [1, 2, 3]


async def test_a_log_that_is_the_same_is_read_on_where_it_was_left(pool: Pool, settings: KafkaSettings) -> None:
    group, key, other = f"test.{uuid.uuid4().hex}", a_key(), a_key()
    async with consuming(pool, settings, group) as consumer:
        await ready(consumer)
        await publish(settings, *stream(key, 1, 3), partition=PARTITION)
        await applied(pool, key, [1, 2, 3])
        await read_all(pool, settings)
    # Were the log read from its beginning, all of this would be applied a second time.
    await pool.execute("delete from positions")
    async with consuming(pool, settings, group) as consumer:
        await ready(consumer)
        await publish(settings, *stream(other, 1, 3), partition=PARTITION)
        await applied(pool, other, [1, 2, 3])
    assert await effects(pool, key) == [1, 2, 3]
