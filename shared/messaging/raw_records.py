# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""Records read without the client library's own decoding, which fails as a whole if one of them is malformed.

The library decodes the names of headers as UTF-8 while it fetches; Kafka allows any bytes there. One such record
would stop its partition, and every other of the consumer, for ever. Here the bytes are kept as they are, so that
record goes to the dead letters and the ones beside it are applied.
"""

import asyncio
import struct
from collections.abc import Callable, Iterator, Mapping

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.errors import CorruptRecordException, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.util import calc_crc32c

from shared.messaging.broker import KafkaSettings
from shared.messaging.offsets import Partition
from shared.messaging.records import Record, moment

#: Largest answer asked for, of a partition and in all, in bytes; a broker sends at least one batch, however large.
_MAX_BYTES = 1024 * 1024
_MAX_BYTES_IN_ALL = 16 * _MAX_BYTES

# Base offset, length, leader epoch, magic, checksum, attributes, last offset delta, first and last timestamp,
# producer id and epoch, base sequence, number of records.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH_COUNTS_FROM = 12
_CHECKSUM_COUNTS_FROM = 21

_CODEC_MASK = 0x07
_LOG_APPEND_TIME = 0x08
_CONTROL = 0x20

_CODECS: dict[int, tuple[str, Callable[[bytes], bytes]]] = {
    1: ("gzip", gzip_decode),
    2: ("snappy", snappy_decode),
    3: ("lz4", lz4_decode),
    4: ("zstd", zstd_decode),
}


async def read(kafka: KafkaSettings, topic: str, partition: int, offset: int) -> list[Record]:
    """What lies at and shortly after an offset. Raises KafkaError if the broker does not give it.

    Of a batch that cannot be unpacked there is one record: its offset is the batch's last, its value the batch.
    """
    return (await read_all(kafka, {(topic, partition): offset}))[topic, partition]


async def read_all(kafka: KafkaSettings, places: Mapping[Partition, int]) -> dict[Partition, list[Record]]:
    """As ``read``, for several partitions at once: a broker answers as soon as one of them holds something."""
    client = AIOKafkaClient(bootstrap_servers=kafka.bootstrap, client_id=kafka.client_id)
    try:
        await client.bootstrap()
        await client.set_topics({topic for topic, _ in places})
        wanted: dict[int, dict[str, list[tuple[int, int, int]]]] = {}
        for (topic, partition), offset in places.items():
            leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
            by_topic = wanted.setdefault(-1 if leader is None else leader, {})
            by_topic.setdefault(topic, []).append((partition, offset, _MAX_BYTES))
        answers = await asyncio.gather(
            *(
                client.send(
                    leader, FetchRequest(kafka.fetch_max_wait_ms, 1, _MAX_BYTES_IN_ALL, 0, list(topics.items()))
                )
                for leader, topics in wanted.items()
            )
        )
    finally:
        await client.close()
    found: dict[Partition, list[Record]] = {}
    for answer in answers:
        for topic, partitions in answer.topics:
            for partition, error_code, *_, batches in partitions:
                offset = places[topic, partition]
                if error_code:
                    raise for_code(error_code)(f"{topic}/{partition}@{offset}")
                unpacked = unpack(topic, partition, bytes(batches or b""))
                found[topic, partition] = [record for record in unpacked if record.offset >= offset]
    return found


def unpack(topic: str, partition: int, batches: bytes) -> Iterator[Record]:
    """The records of the complete batches in a broker's answer. Raises CorruptRecordException for a wrong checksum."""
    while len(batches) >= _HEADER.size:
        header = _HEADER.unpack_from(batches)
        end = _LENGTH_COUNTS_FROM + header[1]
        if len(batches) < end:
            return
        yield from _unpack_batch(topic, partition, batches[:end])
        batches = batches[end:]


def _unpack_batch(topic: str, partition: int, batch: bytes) -> Iterator[Record]:
    base, _, _, magic, checksum, attributes, last_delta, first_time, last_time, *_, count = _HEADER.unpack_from(batch)
    if magic != 2 or calc_crc32c(batch[_CHECKSUM_COUNTS_FROM:]) != checksum:
        raise CorruptRecordException(f"{topic}/{partition}@{base}: the batch's checksum is wrong")
    if attributes & _CONTROL:
        return
    append_time = last_time if attributes & _LOG_APPEND_TIME else None
    try:
        reader = _Reader(_decompressed(attributes & _CODEC_MASK, batch[_HEADER.size :]))
        records = [reader.record(topic, partition, base, first_time, append_time) for _ in range(count)]
    except (ValueError, IndexError) as error:
        whole = Record(
            topic,
            partition,
            base + last_delta,
            moment(last_time),
            None,
            (),
            batch,
            damage=f"a batch of {count}: {error}",
        )
        records = [whole]
    yield from records


def _decompressed(codec: int, body: bytes) -> bytes:
    if codec == 0:
        return body
    if codec not in _CODECS:
        raise ValueError(f"compressed with unknown codec {codec}")
    name, decode = _CODECS[codec]
    try:
        return decode(body)
    except Exception as error:
        raise ValueError(f"compressed with {name}, and damaged: {type(error).__name__}") from error


class _Reader:
    """Reads records, one after the other, from the body of a batch."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def record(self, topic: str, partition: int, base: int, first_time: int, append_time: int | None) -> Record:
        self._number()  # length
        self._at += 1  # attributes: none are defined
        time = first_time + self._number()
        offset = base + self._number()
        key, value = self._bytes(), self._bytes()
        # A header's value may be null; the client library's own records allow for it as little as this type says.
        headers = tuple((self._name(), self._bytes()) for _ in range(self._number()))
        return Record(
            topic,
            partition,
            offset,
            moment(time if append_time is None else append_time),
            key,
            headers,  # pyright: ignore[reportArgumentType]
            value,
        )

    def _number(self) -> int:
        """A zigzag-coded integer of variable length."""
        value = shift = 0
        while True:
            byte = self._body[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)

    def _bytes(self) -> bytes | None:
        length = self._number()
        if length < 0:
            return None
        taken = self._body[self._at : self._at + length]
        if len(taken) != length:
            raise ValueError("a record ends before its length")
        self._at += length
        return taken

    def _name(self) -> str:
        return (self._bytes() or b"").decode(errors="surrogateescape")
