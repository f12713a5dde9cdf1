"""Another office reads the topics with other libraries than ours: librdkafka, the CloudEvents SDK, jsonschema."""

import json
import time
from collections import defaultdict
from pathlib import Path

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from confluent_kafka import Consumer, Message, TopicPartition
from jsonschema import Draft202012Validator, FormatChecker

import shared.contracts
from deploy.local.stack import Stack
from shared.contracts.registry import EVENTS, PARTITIONS, Topic
from tests.e2e.test_cycle_under_kills import Ended, undisturbed

__all__ = ["undisturbed"]

SCHEMAS = Path(shared.contracts.__file__).parent / "generated" / "schemas"


def validators() -> dict[str, Draft202012Validator]:
    schemas = [json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.json")]
    return {schema["$id"]: Draft202012Validator(schema, format_checker=FormatChecker()) for schema in schemas}


def all_records(bootstrap: str) -> list[Message]:
    """Every record of every topic, in the order of each partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "foreign-reader", "auto.offset.reset": "earliest"})
    partitions = [TopicPartition(topic.value, n, 0) for topic in Topic for n in range(PARTITIONS)]
    ends = {(p.topic, p.partition): consumer.get_watermark_offsets(p, timeout=10)[1] for p in partitions}
    missing = sum(ends.values())
    consumer.assign(partitions)
    found: list[Message] = []
    deadline = time.monotonic() + 40
    while missing > 0 and time.monotonic() < deadline:
        for message in consumer.consume(500, timeout=0.5):
            assert message.error() is None
            found.append(message)
            missing -= 1
    consumer.close()
    assert missing <= 0, f"{missing} records were not read in time"
    return found


def headers_of(message: Message) -> dict[str, bytes]:
    headers = message.headers()
    assert isinstance(headers, list)
    assert len({name for name, _ in headers}) == len(headers), "a header stands there twice"
    return {name: value for name, value in headers if isinstance(value, bytes)}


@pytest.mark.timeout(120)
def test_every_record_is_a_valid_cloudevent_in_a_gapless_sequence(stack: Stack, undisturbed: Ended) -> None:
    schemas = validators()
    streams: dict[tuple[str, str, str], list[tuple[int, str]]] = defaultdict(list)
    types: set[str] = set()
    for message in all_records(stack.bootstrap):
        key, value, topic = message.key(), message.value(), message.topic()
        assert isinstance(key, bytes)
        assert isinstance(value, bytes)
        assert topic is not None
        event = from_binary_event(KafkaMessage(headers=headers_of(message), key=key, value=value))
        assert event.get_specversion() == "1.0"
        assert event.get_datacontenttype() == "application/json"
        assert event.get_extension("partitionkey") == key.decode()
        data = event.get_data()
        schema = event.get_dataschema()
        assert schema in schemas, schema
        assert list(schemas[schema].iter_errors(data)) == []
        stream = (topic, event.get_source(), key.decode())
        streams[stream].append((int(str(event.get_extension("sequence"))), event.get_id()))
        types.add(event.get_type())
    assert len(types) >= 8, types
    assert types <= {spec.type for spec in EVENTS}
    for stream, numbered in streams.items():
        # A record may stand there again after a kill, never in another place of the order or under another id.
        fresh = [entry for place, entry in enumerate(numbered) if entry not in numbered[:place]]
        assert [number for number, _ in fresh] == list(range(1, len(fresh) + 1)), stream
