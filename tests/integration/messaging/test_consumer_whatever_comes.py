"""The consumer: whatever lies in a topic delays nothing and keeps nothing from being applied."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer

from shared.contracts.registry import Topic
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
    held,
    letters,
    publish,
    publish_in_one_batch,
    ready,
)
from tests.unit.messaging.crafted import record, with_header

TOPIC = Topic.CONCERNS.value


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
