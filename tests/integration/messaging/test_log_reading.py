"""A stretch of the topics is read once, in order, whatever lies in it, and nobody's offsets move."""

from dataclasses import replace

import pytest

from shared.messaging.broker import KafkaSettings
from shared.messaging.log_reading import LogReader, Span, open_log
from shared.messaging.offsets import Partition
from shared.messaging.records import Event, Record, decode
from tests.integration.messaging.delivery import OwnBroker, a_key, publish, publish_in_one_batch
from tests.unit.messaging.crafted import record

TOPIC = "quality.concerns.v1"


async def read(log: LogReader, spans: dict[Partition, Span], key: str) -> list[Record]:
    found = [one async for portion in log.read(spans, portion=3) for one in portion]
    for partition in {(one.topic, one.partition) for one in found}:
        offsets = [one.offset for one in found if (one.topic, one.partition) == partition]
        assert offsets == sorted(set(offsets))
        assert all(spans[partition].begin <= offset < spans[partition].end for offset in offsets)
    return [one for one in found if one.key == key.encode()]


async def test_a_stretch_is_read_to_its_end_and_what_comes_later_by_the_next(settings: KafkaSettings) -> None:
    key = a_key()
    await publish(settings, *(record(number, key=key) for number in range(1, 11)))
    async with open_log(settings) as log:
        first = await log.spans([TOPIC])
        await publish(settings, record(11, key=key))
        assert [_sequence(one) for one in await read(log, first, key)] == list(range(1, 11))
        second = {p: Span(first[p].end, span.end) for p, span in (await log.spans([TOPIC])).items()}
        assert [_sequence(one) for one in await read(log, second, key)] == [11]
        assert await read(log, {p: Span(span.end, span.end) for p, span in second.items()}, key) == []


@pytest.mark.needs_apache
async def test_a_record_that_the_client_cannot_decode_hides_no_other(own_broker: OwnBroker) -> None:
    settings, key = own_broker.settings, a_key()
    poisoned = replace(record(2, key=key), headers=(*record(2, key=key).headers, ("x-\udcff", b"1")))
    before = [record(number, key=key) for number in (1, 2)]
    await publish_in_one_batch(settings, *before, poisoned, record(3, key=key))
    await publish_in_one_batch(settings, record(4, key=key))
    async with open_log(settings) as log:
        found = await read(log, await log.spans([TOPIC]), key)
    assert [_sequence(one) for one in found] == [1, 2, None, 3, 4]


def _sequence(one: Record) -> int | None:
    decoded = decode(one)
    return decoded.envelope.sequence if isinstance(decoded, Event) else None
