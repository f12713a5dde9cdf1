"""What is put into the topics past every outbox: earlier records once more, and records that nobody here made."""

import asyncio
import contextlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.record.util import calc_crc32c
from confluent_kafka import KafkaError as ClientError
from confluent_kafka import Message, Producer

from shared.contracts.envelope import Envelope
from shared.contracts.registry import EVENTS, PARTITIONS, EventSpec, Topic
from shared.messaging import raw_records
from shared.messaging.broker import KafkaSettings
from shared.messaging.records import Record

#: Another office, whose services are not ours and whose events are therefore nobody's here.
OFFICE = "elsewhere"

#: How long the brokers may take to accept a record, in seconds; one of them may be down.
_DELIVERY_S = 60

_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

#: Largest value, in bytes: well above any event's, and within what a topic takes.
_HUGE = 900_000

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A record that is no event of this system."""

    #: What is wrong with it.
    fault: str
    topic: str
    #: Its own alone, so that it is known again among the dead letters.
    key: bytes
    value: bytes | None
    headers: Headers
    #: Whether it is a dead letter; else it is passed over.
    is_dead: bool = True


@dataclass(slots=True)
class Intruder:
    """Puts records into the topics. ``bootstrap`` is the brokers' own address, not a proxy's."""

    bootstrap: str
    #: Records accepted by the brokers, by their keys.
    foreign: dict[bytes, Foreign] = field(default_factory=dict[bytes, Foreign])
    #: Records of which it is not known whether the brokers have them.
    perhaps: dict[bytes, Foreign] = field(default_factory=dict[bytes, Foreign])
    #: How many earlier records were put in again.
    copies: int = 0

    def put_foreign(self, count: int, seed: int) -> None:
        """Put records of every kind of fault into topics, some of them compressed."""
        random = Random(seed)
        faults = random.sample(list(_FAULTS), len(_FAULTS))
        made = [_make(faults[place % len(faults)], random) for place in range(count)]
        codec = random.choice(_CODECS)
        plain = [one for one in made if one.fault != _NAME_NOT_UTF8]
        failed = self._produce(codec, [(one.topic, -1, one.key, one.value, one.headers) for one in plain])
        for one in plain:
            (self.perhaps if one.key in failed else self.foreign)[one.key] = one
        for one in made:
            if one.fault == _NAME_NOT_UTF8:
                accepted = asyncio.run(_put_raw(self.bootstrap, one, random.randrange(PARTITIONS)))
                (self.foreign if accepted else self.perhaps)[one.key] = one

    def put_again(self, count: int, seed: int) -> None:
        """Put earlier records into their partitions once more: some of them old, some of them just sent."""
        random = Random(seed)
        found = asyncio.run(_earlier(self.bootstrap, count, random))
        own = [one for one in found if one.key not in self.foreign and one.key not in self.perhaps]
        codec = random.choice(_CODECS)
        failed = self._produce(codec, [(r.topic, r.partition, r.key, r.value, list(r.headers)) for r in own])
        self.copies += len(own) - len(failed)

    def _produce(
        self, codec: str, records: Sequence[tuple[str, int, bytes | None, bytes | None, Headers]]
    ) -> set[bytes | None]:
        """Put records in; returns the keys of those of which it is not known whether they are there."""
        failed: set[bytes | None] = set()

        def report(error: ClientError | None, message: Message) -> None:
            if error is not None:
                key: Any = message.key()
                failed.add(key)

        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "compression.type": codec,
                "linger.ms": 50,
                "enable.idempotence": True,
                "message.max.bytes": 1_000_000,
                "message.timeout.ms": _DELIVERY_S * 1000,
                "log_level": 0,
            }
        )
        for topic, partition, key, value, headers in records:
            options: dict[str, Any] = {} if partition < 0 else {"partition": partition}
            producer.produce(topic, value, key, headers=list(headers), on_delivery=report, **options)
        producer.flush(_DELIVERY_S + 10)
        return failed


# Earlier records ------------------------------------------------------------------------------------------------


async def _earlier(bootstrap: str, count: int, random: Random) -> list[Record]:
    """Up to so many records in a few runs from here and there, each run in its order."""
    kafka = KafkaSettings(bootstrap, "chaos")
    found: list[Record] = []
    ends = await _ends(bootstrap)
    for topic, partition in random.choices(list(ends), k=10 if ends else 0):
        end = ends[topic, partition]
        offset = random.choice((random.randrange(end), max(0, end - random.randint(1, 30))))
        # A partition can be without a leader for a moment.
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            records = await raw_records.read(kafka, topic, partition, offset)
            found += records[: max(count // 4, 1)]
        if len(found) >= count:
            break
    return found[:count]


async def _ends(bootstrap: str) -> dict[tuple[str, int], int]:
    """The end of each partition that is not empty; nothing if the cluster does not answer just now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        await consumer.start()
        ends = await consumer.end_offsets([TopicPartition(t.value, n) for t in Topic for n in range(PARTITIONS)])
    except (KafkaError, OSError, TimeoutError):
        return {}
    finally:
        await consumer.stop()
    return {(where.topic, where.partition): end for where, end in ends.items() if end}


# Foreign records ------------------------------------------------------------------------------------------------

_NAME_NOT_UTF8 = "a header whose name is not UTF-8"


def _make(fault: str, random: Random) -> Foreign:
    spec = random.choice(EVENTS)
    key = f"X{random.getrandbits(36):09d}"[:10]
    draft = Foreign(fault, spec.topic.value, key.encode(), b"{}", list(_envelope(spec, key, random).headers()))
    return _FAULTS[fault](draft, spec, random)


def _envelope(spec: EventSpec, key: str, random: Random, **changes: Any) -> Envelope:
    attributes: dict[str, Any] = {
        "id": UUID(int=random.getrandbits(128)),
        "source": f"/{OFFICE}/{spec.producer}",
        "type": spec.type,
        "subject": str(UUID(int=random.getrandbits(128))),
        "time": datetime(2024, 5, 1, tzinfo=UTC),
        "dataschema": spec.dataschema,
        "key": key,
        "sequence": 1,
        "correlationid": UUID(int=random.getrandbits(128)),
        "dataclassification": spec.classification,
    }
    return Envelope(**attributes | changes)


def _with(draft: Foreign, **changes: Any) -> Foreign:
    return Foreign(**{name: getattr(draft, name) for name in Foreign.__slots__} | changes)


def _header(draft: Foreign, name: str, value: bytes | None) -> Headers:
    return [(one, value if one == name else before) for one, before in draft.headers]


def _another_topic(draft: Foreign, spec: EventSpec, random: Random) -> Foreign:
    others = [topic.value for topic in Topic if topic is not spec.topic]
    return _with(draft, topic=random.choice(others))


_FAULTS: dict[str, Callable[[Foreign, EventSpec, Random], Foreign]] = {
    "no headers": lambda d, _, __: _with(d, headers=[], value=b"who goes there?"),
    "no headers and no value": lambda d, _, __: _with(d, headers=[], value=None),
    "huge": lambda d, _, r: _with(d, headers=[], value=r.randbytes(_HUGE)),
    "bytes for text": lambda d, _, __: _with(d, headers=[("ce_id", b"\xff\xfe"), ("x", b"\x00")], value=b"\xff\x00"),
    "no id": lambda d, _, __: _with(d, headers=[h for h in d.headers if h[0] != "ce_id"]),
    "a header twice": lambda d, _, __: _with(d, headers=[*d.headers, ("ce_sequence", b"2")]),
    "a header without a value": lambda d, _, __: _with(d, headers=_header(d, "ce_subject", None)),
    "a number that is none": lambda d, _, __: _with(d, headers=_header(d, "ce_sequence", b"first")),
    "another key than it says": lambda d, _, __: _with(d, headers=_header(d, "ce_partitionkey", b"FICTHT001")),
    _NAME_NOT_UTF8: lambda d, _, __: _with(d, headers=[*d.headers, (b"x-\xff".decode(errors="surrogateescape"), b"1")]),
    "not JSON": lambda d, _, __: _with(d, value=b'{"concern_id": '),
    "JSON of another kind": lambda d, _, __: _with(d, value=json.dumps([1, 2, 3]).encode()),
    "no value": lambda d, _, __: _with(d, value=None),
    "of another topic": _another_topic,
    "of another producer": lambda d, _, __: _with(d, headers=_header(d, "ce_source", f"/{OFFICE}/weather".encode())),
    "of a type nobody knows": lambda d, _, __: _with(
        d, headers=_header(d, "ce_type", b"uk.nhs.quality.weather.changed.v1"), is_dead=False
    ),
}


async def _put_raw(bootstrap: str, foreign: Foreign, partition: int) -> bool:
    """Put in a record whose header names are not UTF-8, which no client offers; True if it is there.

    The bytes of such a name stand as surrogate escapes, as they do in a `Record`.
    """
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=_DELIVERY_S * 1000)
    try:
        await producer.start()
        batch: Any = producer.create_batch()
        names = {name: name.encode(errors="surrogateescape") for name, _ in foreign.headers}
        stand_ins = {name: "@" * len(real) if name.isascii() is False else name for name, real in names.items()}
        batch.append(
            key=foreign.key,
            value=foreign.value,
            timestamp=None,
            headers=[(stand_ins[name], value) for name, value in foreign.headers],
        )
        batch.close()
        built = bytearray(batch._build())
        for name, real in names.items():
            if stand_ins[name] != name:
                built = built.replace(stand_ins[name].encode(), real)
        struct.pack_into(">I", built, 17, calc_crc32c(bytes(built[21:])))
        batch._build = lambda: built
        await (await producer.send_batch(batch, foreign.topic, partition=partition))
    except (KafkaError, OSError, TimeoutError):
        # The record may be there all the same.
        return False
    finally:
        await producer.stop()
    return True
