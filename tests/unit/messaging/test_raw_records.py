"""Batches that the client library cannot decode, unpacked by ourselves."""

import struct

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from shared.messaging import raw_records
from shared.messaging.records import Record

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
COUNT = 3


def a_batch(codec: int) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1_000_000)
    for n in range(COUNT):
        # Alike enough for every codec to make it smaller: the client sends uncompressed what is not.
        builder.append(n, 1_700_000_000_000 + n, b"key", b"value " * 200 + b"%d" % n, [("ce_id", b"%d" % n)])
    return builder.build()


def sealed(batch: bytearray) -> bytes:
    """The batch with the checksum of what it holds now."""
    struct.pack_into(">I", batch, 17, calc_crc32c(bytes(batch[21:])))
    return bytes(batch)


def unpack(batch: bytes) -> list[Record]:
    return list(raw_records.unpack("topic", 3, batch))


@pytest.mark.parametrize("codec", [0, *CODECS.values()], ids=["none", *CODECS])
def test_a_batch_is_unpacked_whatever_it_is_compressed_with(codec: int) -> None:
    batch = bytes(a_batch(codec))
    assert batch[22] & 0x07 == codec

    records = unpack(batch)

    assert [(r.offset, r.key, r.value, r.headers) for r in records] == [
        (n, b"key", b"value " * 200 + b"%d" % n, (("ce_id", b"%d" % n),)) for n in range(COUNT)
    ]
    assert [r.damage for r in records] == [None] * COUNT


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_damaged_compressed_batch_is_kept_whole_as_one_record(codec: int) -> None:
    batch = a_batch(codec)
    batch[61:] = b"\xff" * len(batch[61:])
    whole = sealed(batch)

    [record] = unpack(whole)

    name = next(name for name, number in CODECS.items() if number == codec)
    assert (record.offset, record.value) == (COUNT - 1, whole)
    assert record.damage is not None and f"compressed with {name}, and damaged" in record.damage


def test_a_batch_compressed_with_a_codec_that_does_not_exist_is_kept_whole_as_one_record() -> None:
    batch = a_batch(0)
    batch[22] |= 7
    whole = sealed(batch)

    [record] = unpack(whole)

    assert (record.offset, record.value) == (COUNT - 1, whole)
    assert record.damage == f"a batch of {COUNT}: compressed with unknown codec 7"
