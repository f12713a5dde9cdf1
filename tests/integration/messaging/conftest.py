"""A database with the tables of delivery, and brokers to deliver over."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import shared.messaging
from deploy.local import apache_kafka, java, ports
from shared.messaging.broker import KafkaSettings
from shared.persistence import migrations
from shared.persistence.pool import Pool, open_pool
from tests.fixtures.infrastructure import Kafka
from tests.integration.messaging.delivery import REFUSED, OwnBroker


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, name="test")
    async with pool.acquire() as connection:
        await migrations.migrate(connection, "messaging", Path(shared.messaging.__file__).parent / "migrations")
        await connection.execute(
            "create table effects (n bigint generated always as identity, event_id uuid, key text, sequence bigint)"
        )
    yield pool
    REFUSED.clear()
    pool.terminate()


@pytest.fixture
def settings(kafka: Kafka) -> KafkaSettings:
    embedded = kafka.kind == "embedded"
    return KafkaSettings(
        kafka.bootstrap, "test", idempotence=not embedded, fetch_max_wait_ms=50, session_timeout_ms=6_000
    )


@pytest.fixture(scope="session")
async def broker_to_kill(server_folder: Path) -> AsyncIterator[OwnBroker]:
    program, _ = java.java()
    assert program is not None
    client, controller = ports.free_ports(2)
    folder = server_folder / "broker-to-kill"
    own = OwnBroker(
        folder,
        lambda: apache_kafka.prepare(
            folder,
            endpoints=[apache_kafka.Endpoint(client, controller)],
            logs=server_folder,
            jars=java.kafka_jars(),
            program=program,
            die_with_parent=True,
        ),
    )
    try:
        yield own
    finally:
        await own.kill()


@pytest.fixture
async def own_broker(broker_to_kill: OwnBroker) -> OwnBroker:
    """An Apache Kafka, running and with the topics made, that a test may kill. Mark the test ``needs_apache``."""
    await broker_to_kill.start()
    return broker_to_kill
