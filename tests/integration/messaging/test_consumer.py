"""The consumer: crashes, rebalances, restores, and whatever lies in a topic."""

import asyncio
import signal
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Producer

from shared.contracts.registry import PARTITIONS, Topic
from shared.messaging import consumer as consumer_module
from shared.messaging import offsets
from shared.messaging import relay as relay_module
from shared.messaging.broker import KafkaSettings, cluster_id
from shared.messaging.inbox import Inbox, OffsetsWentBack
from shared.messaging.offsets import Partition
from shared.messaging.records import Record
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import (
    OFFICE,
    OwnBroker,
    a_key,
    applied,
    consuming,
    effects,
    emit,
    end_connections,
    eventually,
    held,
    letters,
    make_reactions,
    new_consumer,
    publish,
    ready,
    relaying,
)
from tests.unit.messaging.crafted import record, with_header

TOPIC = Topic.CONCERNS.value


# Several members, crashes


async def test_members_of_a_group_share_the_work_while_others_come_and_go(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    group, keys = f"test.{uuid.uuid4().hex}", [a_key() for _ in range(24)]

    async def load(rounds: int) -> None:
        for _ in range(rounds):
            await asyncio.gather(*(emit(pool, key, 10) for key in keys))

    async with relaying(database, settings), consuming(pool, settings, group) as first:
        await ready(first)
        await load(3)
        async with consuming(pool, settings, group) as second:
            await load(3)
            await ready(second)
            await load(3)
        await load(3)
        for key in keys:
            await applied(pool, key, range(1, 121))


async def test_a_member_killed_in_the_middle_of_its_work_leaves_nothing_undone_or_doubled(
    pool: Pool, database: str, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, group = a_key(), f"test.{uuid.uuid4().hex}"
    apply, died = Inbox.apply, asyncio.Event()
    moments = iter(["before", "after"])

    async def dying(self: Inbox, *arguments: Any, **options: Any) -> Any:
        # Once before the database commits, once between that and all that follows it.
        moment = next(moments, None)
        result = await apply(self, *arguments, **options) if moment != "before" else None
        if moment is not None:
            died.set()
            await asyncio.sleep(60)
        return result

    monkeypatch.setattr(Inbox, "apply", dying)
    async with relaying(database, settings):
        await emit(pool, key, 10)
        for _ in range(2):
            died.clear()
            killed = asyncio.create_task(new_consumer(pool, settings, group).run())
            await asyncio.wait_for(died.wait(), 30)
            killed.cancel()
            await asyncio.gather(killed, return_exceptions=True)
            await emit(pool, key, 10)
        async with consuming(pool, settings, group):
            await applied(pool, key, range(1, 31))


async def test_two_members_that_hold_one_partition_apply_its_records_once(pool: Pool) -> None:
    await pool.execute("insert into consumer_offsets values ($1, 0, 'test', 0)", TOPIC)
    key = a_key()
    records = [record(n, key=key, offset=n) for n in range(1, 51)]
    members = [Inbox(pool, f"/{OFFICE}/test", make_reactions()) for _ in range(4)]
    now = datetime.now(UTC)
    await asyncio.gather(*(member.apply(records[: 50 - 10 * i], now, {}) for i, member in enumerate(members)))
    assert await effects(pool, key) == list(range(1, 51))
    assert await pool.fetchval("select next_offset from consumer_offsets") == 51


async def test_a_member_notices_that_the_database_went_back(pool: Pool) -> None:
    inbox = Inbox(pool, f"/{OFFICE}/test", make_reactions())
    now, one = datetime.now(UTC), record(1, key=a_key(), offset=4)
    with pytest.raises(OffsetsWentBack):
        await inbox.apply([one], now, {(TOPIC, 0): 0})
    await pool.execute("insert into consumer_offsets values ($1, 0, 'test', 3)", TOPIC)
    with pytest.raises(OffsetsWentBack):
        await inbox.apply([one], now, {(TOPIC, 0): 4})
    assert await pool.fetchval("select count(*) from effects") == 0


async def test_lost_database_connections_delay_and_lose_nothing(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    keys = [a_key() for _ in range(5)]
    async with relaying(database, settings), consuming(pool, settings) as consumer:
        await ready(consumer)
        for _ in range(6):
            for key in keys:
                await emit(pool, key, 20)
            await end_connections(pool)
            await asyncio.sleep(0.1)
        for key in keys:
            await applied(pool, key, range(1, 121))
        assert consumer.problem is None


async def test_a_busy_pool_delays_and_loses_nothing(pool: Pool, database: str, settings: KafkaSettings) -> None:
    key = a_key()
    async with relaying(database, settings), consuming(pool, settings) as consumer:
        await ready(consumer)
        await emit(pool, key, 5)
        taken = [await pool.acquire() for _ in range(pool.get_max_size())]
        await asyncio.sleep(0.5)
        for connection in taken:
            await pool.release(connection)
        await applied(pool, key, range(1, 6))


# What stands in the way of everything


async def test_a_member_that_lost_the_partition_of_what_stopped_it_is_ready_again(
    pool: Pool, settings: KafkaSettings
) -> None:
    async with consuming(pool, settings) as consumer:
        await ready(consumer)
        # Only now: the topic may hold events of other tests, which would stop it before it was ever ready.
        await pool.execute("alter table effects rename to effects_that_are_gone")
        await publish(settings, record(key=a_key()))

        async def stopped() -> bool:
            return consumer.problem is not None and "database refuses" in consumer.problem

        await eventually(stopped)
        assert await pool.fetchval("select count(*) from parked_streams") == 0
        # As if the partitions had gone to another member.
        await consumer.on_partitions_revoked([TopicPartition(TOPIC, n) for n in range(PARTITIONS)])

        async def no_longer_stopped() -> bool:
            return not await stopped()

        await eventually(no_longer_stopped)


async def test_waiting_for_hours_does_not_end_a_consumer(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "_LONGEST_PAUSE_S", 0.0001)
    consumer = new_consumer(pool, KafkaSettings("127.0.0.1:1", "test"))
    attempts = 0

    async def no_broker(*_: object) -> str:
        nonlocal attempts
        attempts += 1
        raise ConnectionError("no broker")

    monkeypatch.setattr(consumer, "_session", no_broker)
    task = asyncio.create_task(consumer.run())

    async def many() -> bool:
        return attempts > 1_500

    await eventually(many)
    assert not task.done()
    assert consumer.problem is not None
    consumer.stop()
    await asyncio.wait_for(task, 5)


# Whatever lies in a topic


async def test_no_record_keeps_the_ones_after_it_from_being_applied(pool: Pool, settings: KafkaSettings) -> None:
    key = a_key()
    begin = [record(1, key=key), record(2, key=key)]

    def of(**changes: Any) -> Record:
        return replace(record(key=key), **changes)

    def header(name: str, change: Callable[[bytes], bytes]) -> Record:
        return of(headers=with_header(record(key=key).headers, name, change))

    nothing: Any = None
    garbage = [
        of(headers=()),
        of(value=None),
        of(value=b""),
        of(value=b"{" * 100_000),
        of(value=b"x" * 1_000_000),
        of(headers=(*record(key=key).headers, *((f"x-{n}", b"y" * 1_000) for n in range(300)), ("ce_id", b"1"))),
        of(headers=(*record(key=key).headers, ("ce_\x00", b"1"), ("ce_\x00", b"2"))),
        of(headers=(("ce_id", nothing), ("", b""), ("\x00", nothing))),
        header("ce_id", lambda _: b"\xff"),
        header("ce_sequence", lambda _: b"99999999999999999999"),
        header("ce_source", lambda _: b"/test-office/funding"),
        header("ce_type", lambda _: b"t" * 100_000),
    ]
    keyless = [of(key=None), of(key=None, headers=())]
    async with consuming(pool, settings) as consumer:
        await ready(consumer)
        await publish(settings, *begin, *garbage, *keyless, record(3, key=key), record(4, key=key))
        await applied(pool, key, [1, 2, 3, 4])

        async def all_kept() -> bool:
            assert len(await letters(pool, key)) == len(garbage)
            return len(await letters(pool, None)) >= len(keyless)

        await eventually(all_kept)
        assert consumer.problem is None
    assert [letter["value"] for letter in await letters(pool, key)] == [g.value for g in garbage]
    assert [
        list(zip(letter["header_names"], letter["header_values"], strict=True)) for letter in await letters(pool, key)
    ] == [[(name.encode(), value) for name, value in g.headers] for g in garbage]


async def test_an_event_of_a_type_from_the_future_is_counted_and_the_next_is_applied(
    pool: Pool, settings: KafkaSettings
) -> None:
    key = a_key()
    future = record(2, key=key, event_type="uk.nhs.quality.concern.foreseen.v1")
    async with consuming(pool, settings):
        await publish(settings, record(1, key=key), replace(future, value=None), record(3, key=key))
        await applied(pool, key, [1, 3])
    assert (await letters(pool, key), await held(pool, key)) == ([], [])


async def test_held_events_wait_across_restarts_and_repeats_change_nothing(pool: Pool, settings: KafkaSettings) -> None:
    key, group = a_key(), f"test.{uuid.uuid4().hex}"
    events = {n: record(n, key=key) for n in range(1, 7)}

    async def holds(*numbers: int) -> None:
        async def check() -> bool:
            assert await held(pool, key) == list(numbers)
            return True

        await eventually(check)

    async with consuming(pool, settings, group):
        await publish(settings, events[1], events[3], events[5])
        await holds(3, 5)
    async with consuming(pool, settings, group):
        await publish(settings, events[3], events[6], events[3], events[1])
        await holds(3, 5, 6)
    assert await effects(pool, key) == [1]
    async with consuming(pool, settings, group):
        await publish(settings, events[4], events[2])
        await applied(pool, key, range(1, 7))
        await holds()
    assert await letters(pool, key) == []


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


def publish_with_librdkafka(settings: KafkaSettings, *records: Record, **options: Any) -> None:
    """Put records into a topic as another client library would."""
    producer = Producer({"bootstrap.servers": settings.bootstrap, "linger.ms": 200, **options})
    for one in records:
        headers: Any = list(one.headers)
        producer.produce(one.topic, one.value, one.key, headers=headers)
    assert producer.flush(20) == 0


# Foreign readers of the shared broker could not read past what these two leave behind.


@pytest.mark.needs_apache
@pytest.mark.parametrize("name", [b"x-\xff", b"ce_\xc3", b"\xff" * 1_000])
async def test_a_header_whose_name_is_not_utf8_costs_its_record_alone(
    pool: Pool, own_broker: OwnBroker, name: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client library fails to decode such a record, and the whole batch and fetch with it."""
    settings, key, other = own_broker.settings, a_key(), a_key()
    poisoned = replace(
        record(2, key=key), headers=(*record(2, key=key).headers, (name.decode(errors="surrogateescape"), b"1"))
    )
    async with consuming(pool, settings) as consumer:
        await ready(consumer)
        batch = [record(1, key=key), poisoned, record(2, key=key), record(1, key=other), poisoned, record(3, key=key)]
        await publish_in_one_batch(settings, *batch)
        await applied(pool, key, [1, 2, 3])
        await applied(pool, other, [1])
        await publish(settings, record(4, key=key))
        await applied(pool, key, [1, 2, 3, 4])

        async def is_ready() -> bool:
            return consumer.problem is None

        await eventually(is_ready)
    told = [line for line in capsys.readouterr().out.splitlines() if "reading it raw" in line]
    assert told and not any(repr(name[-1:])[2:-1] in line for line in told)
    kept = await letters(pool, key)
    assert [(letter["reason"], letter["value"]) for letter in kept] == [("unreadable", poisoned.value)] * 2
    assert all(name in letter["header_names"] for letter in kept)


@pytest.mark.needs_apache
async def test_a_record_that_the_client_cannot_decode_delays_nothing_and_may_be_the_last_one_read(
    pool: Pool, own_broker: OwnBroker
) -> None:
    settings, key, others = replace(own_broker.settings, fetch_max_wait_ms=500), a_key(), [a_key() for _ in range(5)]
    group = f"test.{uuid.uuid4().hex}"
    poisoned = replace(record(key=key), headers=(*record(key=key).headers, ("x-\udcff", b"1")))
    async with consuming(pool, settings, group) as consumer:
        await ready(consumer)
        await publish_in_one_batch(settings, poisoned)
        published = time.monotonic()
        await publish(settings, *(record(1, key=other) for other in others))
        for other in others:
            await applied(pool, other, [1], within=1 - (time.monotonic() - published))

        async def kept() -> bool:
            return len(await letters(pool, key)) == 1

        await eventually(kept)
    # It lies before where each partition is read on, and so is what the log is known by.
    async with consuming(pool, settings, group) as consumer:
        await ready(consumer)
        await publish(settings, record(2, key=others[0]), partition=0)
        await applied(pool, others[0], [1, 2])
        assert len(await letters(pool, key)) == 1


@pytest.mark.needs_apache
@pytest.mark.parametrize("codec", ["gzip", "zstd", "snappy", "lz4"])
async def test_a_batch_is_read_whatever_it_is_compressed_with(pool: Pool, own_broker: OwnBroker, codec: str) -> None:
    settings, key = own_broker.settings, a_key()
    async with consuming(pool, settings) as consumer:
        await ready(consumer)
        batch = [record(n, key=key) for n in (1, 2, 3)]
        await asyncio.to_thread(publish_with_librdkafka, settings, *batch, **{"compression.type": codec})
        await applied(pool, key, [1, 2, 3])
    assert await letters(pool, key) == []


# The broker's log is not what it was


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
