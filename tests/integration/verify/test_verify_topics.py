"""The referee, on topics that somebody put things into: each breakage is found, and what is none is not."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from shared.contracts.envelope import Envelope
from shared.contracts.examples import EXAMPLES
from shared.contracts.registry import by_model
from tests.fixtures.infrastructure import Kafka
from tests.integration.verify.conftest import Played


@pytest.fixture
def topics(played: Played, kafka: Kafka) -> Played:
    """The databases of the played cycle beside other topics: what is put into a topic stays, so not into its own."""
    return replace(played, bootstrap=kafka.bootstrap)


@pytest.fixture
def key() -> str:
    """A key of the test's own: the topics are shared by the whole run."""
    return "T" + uuid4().hex[:8].upper()


def envelope(key: str, sequence: int, event_id: object = None) -> Envelope:
    example = next(one for one in EXAMPLES if one.spec.name == "concern.raised")
    spec = by_model(type(example.data))
    return Envelope(
        id=event_id or uuid4(),  # pyright: ignore[reportArgumentType]
        source="/another-office/intelligence",
        type=spec.type,
        subject=str(uuid4()),
        time=datetime.now(UTC),
        dataschema=spec.dataschema,
        key=key,
        sequence=sequence,
        correlationid=uuid4(),
        dataclassification=spec.classification,
    )


async def produce(topics: Played, *envelopes: Envelope) -> None:
    """Put events of another office into the topic of concerns, in this order."""
    example = next(one for one in EXAMPLES if one.spec.name == "concern.raised")
    producer = AIOKafkaProducer(bootstrap_servers=topics.bootstrap)
    await producer.start()
    try:
        for one in envelopes:
            await producer.send_and_wait(
                "quality.concerns.v1", example.data.model_dump_json().encode(), key=one.key.encode(),
                headers=one.headers(),
            )  # fmt: skip
    finally:
        await producer.stop()


async def found_in_topics(topics: Played, check: str, key: str) -> list[str]:
    """The ids about a key that a check names."""
    report = await topics.verify(topics.databases)
    return [one for finding in report.of(check) for one in finding.ids if key in one]


async def test_events_out_of_order_are_found(topics: Played, key: str) -> None:
    one, two, three = (envelope(key, number) for number in (1, 2, 3))
    await produce(topics, one, three, two)
    assert await found_in_topics(topics, "topic.order", key) == [
        f"{two.id} quality.concerns.v1/another-office/intelligence/{key}#2 after #3"
    ]


async def test_a_number_that_is_missing_is_found(topics: Played, key: str) -> None:
    await produce(topics, envelope(key, 1), envelope(key, 3))
    assert await found_in_topics(topics, "topic.gap", key) == [
        f"quality.concerns.v1/another-office/intelligence/{key}#2"
    ]


async def test_two_events_under_one_number_are_found(topics: Played, key: str) -> None:
    one, other = envelope(key, 1), envelope(key, 1)
    await produce(topics, one, other)
    (found,) = await found_in_topics(topics, "topic.two_events", key)
    assert str(other.id) in found
    assert str(one.id) in found


async def test_one_event_under_two_numbers_is_found(topics: Played, key: str) -> None:
    one = envelope(key, 1)
    await produce(topics, one, envelope(key, 2, one.id))
    found = await found_in_topics(topics, "topic.two_events", key)
    assert any(f"{one.id} quality.concerns.v1/another-office/intelligence/{key}#2" in line for line in found)


async def test_repeats_and_garbage_in_a_topic_are_counted_and_are_no_findings(topics: Played, key: str) -> None:
    before = await topics.verify(topics.databases)
    one = envelope(key, 1)
    await produce(topics, one, one)
    producer = AIOKafkaProducer(bootstrap_servers=topics.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait("quality.concerns.v1", b"garbage", headers=[("ce_\xff", b"")])
    finally:
        await producer.stop()
    after = await topics.verify(topics.databases)
    assert after.counts["repeats"] - before.counts["repeats"] == 1
    assert after.counts["not_events"] - before.counts["not_events"] == 1
    # That nobody accepted the event is found, of course; that it stands there twice is nobody's loss.
    about_it = {finding.check for finding in after.findings if any(key in one for one in finding.ids)}
    assert about_it == {"events.not_accepted"}
