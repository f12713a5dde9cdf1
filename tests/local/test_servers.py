"""The servers that all other tests stand on."""

from __future__ import annotations

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.fixtures.infrastructure import Kafka


async def test_a_test_gets_an_empty_postgresql_18_database_of_its_own(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert connection.get_server_version().major == 18
        assert await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'") == 0
        await connection.execute("create table only_here (id uuid primary key default uuidv7())")
    finally:
        await connection.close()


async def test_a_wrong_password_is_refused(database: str) -> None:
    before, _, rest = database.partition("@")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"{before}x@{rest}")


async def test_the_broker_gives_back_what_was_sent_to_it(kafka: Kafka) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("test.servers", num_partitions=1, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    await producer.start()
    await producer.send_and_wait("test.servers", b"value", key=b"key")
    await producer.stop()
    consumer = AIOKafkaConsumer("test.servers", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()
    assert (record.key, record.value) == (b"key", b"value")
