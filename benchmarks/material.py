# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""What is sent and taken in: made-up events of about 500 bytes, spread over as many providers as an office has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from uuid_utils.compat import uuid7

from shared.contracts.concerns import ConcernRaised, ConcernRated
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Category, EventData, Origin, ProviderRef, RiskBand
from shared.contracts.registry import PARTITIONS, by_model
from shared.messaging.broker import KafkaSettings, new_producer
from shared.messaging.outbox import NewEvent
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind

OFFICE = "east-midlands"

#: Providers that the events are about.
PROVIDERS = 200

_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Message(NamedTuple):
    """A record as a producer sends it."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, and the provider whose stream it stands in."""

    key: str
    data: EventData
    correlation_id: UUID


def provider_code(number: int) -> str:
    """Code of a provider that does not exist."""
    return f"BENCH{number:04}"


def raised(number: int, key: str | None = None) -> Happened:
    """A concern is raised: the ``number``-th of all, which says at which provider unless ``key`` does."""
    code = key or provider_code(number % PROVIDERS)
    concern = uuid7()
    data = ConcernRaised(
        concern_id=concern,
        reference=f"C-2026-{number:07}",
        provider=_provider(code),
        site_code=f"{code}A"[:10],
        programme="General surgery",
        learner_group=LearnerGroup.MEDICAL,
        standard_set="quality-framework-2021",
        standards=["3.5", "1.6"],
        raised_on=date(2026, 4, 1),
        source_kind=SourceKind.NTS,
        source_date=date(2026, 4, 1),
        origin=Origin.REPORTED,
    )
    return Happened(code, data, concern)


def rated(before: Happened) -> Happened:
    """The category of a concern that was raised is confirmed; it calls for a visit."""
    data = before.data
    assert isinstance(data, ConcernRaised)
    confirmed = ConcernRated(
        concern_id=data.concern_id,
        reference=data.reference,
        provider=data.provider,
        site_code=data.site_code,
        programme=data.programme,
        learner_group=data.learner_group,
        standard_set=data.standard_set,
        standards=data.standards,
        impact=4,
        likelihood=4,
        score=16,
        band=RiskBand.EXTREME,
        suggested_category=Category.MAJOR,
        category=Category.MAJOR,
        rated_on=date(2026, 4, 2),
        origin=Origin.REPORTED,
    )
    return Happened(before.key, confirmed, before.correlation_id)


def _provider(code: str) -> ProviderRef:
    return ProviderRef(ods_code=code, name="Fenbrook University Hospitals (made up)", kind=ProviderKind.HOSPITAL_TRUST)


def new_event(happened: Happened, now: datetime) -> NewEvent:
    """As a command saves it in the outbox."""
    return NewEvent(
        id=uuid7(),
        data=happened.data,
        key=happened.key,
        time=now,
        correlation_id=happened.correlation_id,
        causation_id=None,
        traceparent=_TRACE,
    )


class Numbering:
    """Gives events the numbers of their streams, as the outbox of the service that publishes them would."""

    def __init__(self, first: int = 1) -> None:
        """``first`` is the number the first event of every stream gets."""
        self._first = first
        self._last: dict[str, int] = {}

    def messages(self, events: Iterable[Happened]) -> list[Message]:
        """The events of one topic as records, in order."""
        now = datetime.now(UTC)
        return [self._message(event, now) for event in events]

    def _message(self, event: Happened, now: datetime) -> Message:
        spec = by_model(type(event.data))
        sequence = self._last[event.key] = self._last.get(event.key, self._first - 1) + 1
        envelope = Envelope(
            id=uuid7(),
            source=f"/{OFFICE}/{spec.producer}",
            type=spec.type,
            subject=str(getattr(event.data, spec.subject_field)),
            time=now,
            dataschema=spec.dataschema,
            key=event.key,
            sequence=sequence,
            correlationid=event.correlation_id,
            traceparent=_TRACE,
            dataclassification=spec.classification,
        )
        return Message(
            event.key.encode(),
            event.data.model_dump_json().encode(),
            envelope.headers(),
            int(now.timestamp() * 1000),
        )


async def produce(kafka: KafkaSettings, topic: str, messages: Sequence[Message]) -> None:
    """Send records, pipelined and in order; returns once the broker has all of them."""
    producer = new_producer(kafka)
    await producer.start()
    try:
        await send_all(producer, topic, messages)
    finally:
        await producer.stop()


async def send_all(producer: Any, topic: str, messages: Sequence[Message]) -> None:
    """Hand records to a producer one after the other, as fast as it takes them, and wait for all answers."""
    promises = [
        await producer.send(topic, value=m.value, key=m.key, headers=m.headers, timestamp_ms=m.timestamp_ms)
        for m in messages
    ]
    await asyncio.gather(*promises)


@asynccontextmanager
async def reader(kafka: KafkaSettings, topic: str) -> AsyncIterator[Any]:
    """The client library's consumer of all partitions of a topic, at their beginnings and in no group."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, enable_auto_commit=False, fetch_max_wait_ms=kafka.fetch_max_wait_ms
    )
    await consumer.start()
    try:
        assigned = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(assigned)
        await consumer.seek_to_beginning(*assigned)
        yield consumer
    finally:
        await consumer.stop()


async def read_back(kafka: KafkaSettings, topic: str) -> list[Any]:
    """All records of a topic, in the order of their offsets within each partition."""
    async with reader(kafka, topic) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        wanted, records = sum(ends.values()), []
        while len(records) < wanted:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=10_000)
            records += [record for part in fetched.values() for record in part]
        return records
