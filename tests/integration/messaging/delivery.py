"""What the tests of delivery share: a service made of one reaction, its relay and its consumer."""

import asyncio
import json
import shutil
import signal
import struct
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.record.util import calc_crc32c

from deploy.local import apache_kafka, broker, process
from shared.contracts.concerns import ConcernClosed
from shared.contracts.envelope import read_envelope
from shared.contracts.fields import EventData
from shared.contracts.registry import PARTITIONS, Topic
from shared.messaging import topics
from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming import parking
from shared.messaging.consuming.consumer import Consumer
from shared.messaging.consuming.handlers import Received
from shared.messaging.consuming.parking import ParkedStream, RetryPolicy
from shared.messaging.consuming.reactions import AnyReactions, Reacting, Reactions
from shared.messaging.records import Record
from shared.messaging.relaying.relay import Relay
from shared.messaging.unit_of_work import unit_of_work
from shared.persistence.pool import Connection, Pool
from tests.unit.messaging.crafted import SOURCE, closed_event

OFFICE = "test-office"


@dataclass
class Workspace:
    """What the test's reactions write: one row per event, so that a doubled effect shows."""

    seen: list[tuple[uuid.UUID, str, int]] = field(default_factory=list)


#: Events that the test's reaction refuses.
REFUSED: set[uuid.UUID] = set()


async def load(connection: Connection, events: Sequence[Received[EventData]]) -> Workspace:
    return Workspace()


async def save(connection: Connection, work: Workspace) -> None:
    await connection.executemany("insert into effects (event_id, key, sequence) values ($1, $2, $3)", work.seen)


def make_reactions() -> Reactions[Workspace]:
    reactions = Reactions(load=load, save=save)

    @reactions.on(ConcernClosed)
    def closed(work: Workspace, event: Received[ConcernClosed], reacting: Reacting) -> None:
        if event.data.concern_id in REFUSED:
            raise ValueError("refused by the test")
        work.seen.append((event.id, event.envelope.key, event.envelope.sequence))

    return reactions


def a_key() -> str:
    """A key of its own per test: the topics are shared by the whole run."""
    return "T" + uuid.uuid4().hex[:8].upper()


def a_source() -> str:
    """A source that nothing was published under before."""
    return f"/test-{uuid.uuid4().hex}/intelligence"


async def emit(
    pool: Pool, key: str, count: int, *, name: str = "Testbrook (fictional)", source: str = SOURCE
) -> list[ConcernClosed]:
    """Save events in one transaction, as a command would."""
    events = [closed_event(key, name=name) for _ in range(count)]
    async with unit_of_work(pool, source, datetime.now(UTC)) as work:
        for event in events:
            work.emit(event, key=key, correlation_id=event.concern_id)
    return events


async def eventually(check: Callable[[], Awaitable[Any]], *, within: float = 30) -> None:
    """Wait until a check gives true and does not fail."""
    deadline = time.monotonic() + within
    while True:
        try:
            assert await check()
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


async def effects(pool: Pool, key: str) -> list[int]:
    """Numbers of the events of a key that were applied, in the order they were."""
    return [r["sequence"] for r in await pool.fetch("select sequence from effects where key = $1 order by n", key)]


async def applied(pool: Pool, key: str, wanted: Sequence[int], *, within: float = 30) -> None:
    """Wait until exactly these events of a key were applied, in this order."""

    async def check() -> bool:
        found = await effects(pool, key)
        assert found == list(wanted), f"{key}: {found}"
        return True

    await eventually(check, within=within)


def new_relay(dsn: str, settings: KafkaSettings, source: str | None = None) -> Relay:
    return Relay(dsn=dsn, kafka=settings, name="test", source=source or a_source(), retention=timedelta(days=14))


@asynccontextmanager
async def relaying(dsn: str, settings: KafkaSettings, source: str | None = None) -> AsyncIterator[Relay]:
    """Run a relay of a source nobody else publishes under, unless one is given: a relay reads its own records back."""
    relay = new_relay(dsn, settings, source)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await asyncio.wait_for(task, 15)


#: Retries as a test can wait for them.
QUICK = RetryPolicy(attempts=1_000, first=timedelta(milliseconds=50), longest=timedelta(milliseconds=200))


def new_consumer(
    pool: Pool,
    settings: KafkaSettings,
    group: str | None = None,
    *,
    batch_size: int = 100,
    policy: RetryPolicy = QUICK,
    reactions: AnyReactions | None = None,
) -> Consumer:
    return Consumer(
        pool=pool,
        kafka=settings,
        group=group or f"test.{uuid.uuid4().hex}",
        source=f"/{OFFICE}/test",
        reactions=reactions or make_reactions(),
        batch_size=batch_size,
        policy=policy,
    )


@asynccontextmanager
async def consuming(
    pool: Pool, settings: KafkaSettings, group: str | None = None, **options: Any
) -> AsyncIterator[Consumer]:
    consumer = new_consumer(pool, settings, group, **options)
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        consumer.stop()
        await asyncio.wait_for(task, 15)


async def ready(consumer: Consumer) -> None:
    async def check() -> bool:
        assert consumer.problem is None, consumer.problem
        return True

    await eventually(check)


def concern_of(record: Record) -> uuid.UUID:
    """The concern that a crafted record is about; put into REFUSED, the reaction to it fails."""
    return uuid.UUID(json.loads(record.value or b"{}")["concern_id"])


async def letters(pool: Pool, key: str | None) -> list[Any]:
    """Dead letters of a key, in the order they came."""
    return await pool.fetch(
        "select * from dead_letters where key is not distinct from $1 order by id",
        None if key is None else key.encode(),
    )


async def held(pool: Pool, key: str) -> list[int]:
    """Numbers of the events of a key that are held."""
    rows = await pool.fetch("select sequence from held_events where key = $1 order by sequence", key)
    return [row["sequence"] for row in rows]


async def parked(pool: Pool, key: str) -> ParkedStream | None:
    """How a key is parked, if it is."""
    async with pool.acquire() as connection:
        return next((one for one in await parking.list_parked(connection) if one.key == key), None)


@asynccontextmanager
async def reading(bootstrap: str, topic: str = Topic.CONCERNS.value) -> AsyncIterator[AIOKafkaConsumer]:
    """A foreign reader of a topic, from where it ends now."""
    reader = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=None)
    await reader.start()
    for partition in reader.assignment():
        await reader.position(partition)
    try:
        yield reader
    finally:
        await reader.stop()


async def read_numbers(reader: AIOKafkaConsumer, keys: list[str]) -> dict[str, list[int]]:
    """Numbers of the events of some keys, as they lie in the topic, to its end and until nothing more comes."""
    found: dict[str, list[int]] = {key: [] for key in keys}
    # On a busy machine a pause alone is no end; and the embedded broker's ends can be behind, so they alone are none.
    ends = await reader.end_offsets(list(reader.assignment()))
    while True:
        fetched = await reader.getmany(timeout_ms=700)
        for record in (record for records in fetched.values() for record in records):
            key = (record.key or b"").decode()
            if key in found:
                found[key].append(read_envelope(record.key, record.headers).sequence)
        if not fetched and all([await reader.position(partition) >= end for partition, end in ends.items()]):
            return found


def once(numbers: list[int]) -> list[int]:
    """The numbers without repeats of what came before: what a consumer that drops duplicates sees."""
    seen: list[int] = []
    for number in numbers:
        if number not in seen:
            seen.append(number)
    return seen


async def publish(settings: KafkaSettings, *records: Record, partition: int | None = None) -> None:
    """Put records into a topic past any outbox, in order, one request each; by their keys unless told where."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    try:
        for record in records:
            await producer.send_and_wait(
                record.topic, record.value, key=record.key, headers=list(record.headers), partition=partition
            )
    finally:
        await producer.stop()


async def publish_in_one_batch(settings: KafkaSettings, *records: Record) -> None:
    """Put records into one partition in one batch, with header names that no well-meant client would send.

    The bytes of a name that is not UTF-8 stand as surrogate escapes, as they do in a record.
    """
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    try:
        batch: Any = producer.create_batch()
        real_names: dict[bytes, bytes] = {}
        for one in records:
            headers: list[tuple[str, bytes]] = []
            for name, value in one.headers:
                real = name.encode(errors="surrogateescape")
                stand_in = "@" * len(real) if real != name.encode(errors="replace") else name
                real_names[stand_in.encode()] = real
                headers.append((stand_in, value))
            assert batch.append(key=one.key, value=one.value, timestamp=None, headers=headers) is not None
        batch.close()
        built = bytearray(batch._build())
        for stand_in, real in real_names.items():
            if stand_in.startswith(b"@"):
                built = built.replace(stand_in, real)
        struct.pack_into(">I", built, 17, calc_crc32c(bytes(built[21:])))
        batch._build = lambda: built
        await (await producer.send_batch(batch, records[0].topic, partition=0))
    finally:
        await producer.stop()


async def set_largest_record(bootstrap: str, topic: Topic, size: int) -> None:
    """Change what every partition of a topic takes at most, in bytes, and wait until they keep to it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await admin.start()
    await producer.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic.value, configs={"max.message.bytes": str(size)})
        await admin.alter_configs([resource])
        for partition in range(PARTITIONS):
            await eventually(lambda partition=partition: _keeps_to(producer, topic, partition, size))
    finally:
        await producer.stop()
        await admin.close()


async def _keeps_to(producer: AIOKafkaProducer, topic: Topic, partition: int, size: int) -> bool:
    probe = 190_000
    try:
        await producer.send_and_wait(topic.value, bytes(probe), partition=partition)
    except MessageSizeTooLargeError:
        return size < probe
    return size > probe


async def end_connections(pool: Pool, *, of: str = "%") -> int:
    """End the database's other connections, as a restart or an operator would; returns how many."""
    async with pool.acquire() as connection:
        return await connection.fetchval(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid() and application_name like $1",
            of,
        )


class OwnBroker:
    """A broker of a test's own, which it may kill."""

    def __init__(self, folder: Path, prepare: Callable[[], apache_kafka.Cluster]) -> None:
        self._folder = folder
        self._prepare = prepare
        self._running: process.RunningProcess | None = None
        self.bootstrap = prepare().bootstrap

    @property
    def settings(self) -> KafkaSettings:
        return KafkaSettings(self.bootstrap, "test", fetch_max_wait_ms=50, session_timeout_ms=6_000)

    async def start(self) -> None:
        """Start it unless it runs; what it held when it was killed is there again. Topics are made."""
        if self._running is None:
            cluster = await asyncio.to_thread(self._prepare)
            running = self._running = process.start(cluster.commands[0])
            await asyncio.to_thread(broker.wait_ready, self.bootstrap, [running])
        await topics.apply(self.bootstrap)

    async def kill(self) -> None:
        """End it with SIGKILL."""
        if self._running is not None:
            await asyncio.to_thread(self._running.kill)
            self._running = None

    def signal(self, number: signal.Signals) -> None:
        assert self._running is not None
        self._running.signal(number)

    async def replace(self) -> None:
        """Put another cluster, with nothing in it, at the same address."""
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self._folder)
        await self.start()
