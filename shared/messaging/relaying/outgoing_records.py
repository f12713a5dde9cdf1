# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""Rows of the outbox as records, gathered into one batch for each partition.

A batch costs the client one promise, whatever it holds, where a record sent by itself costs one each; and no
envelope is built again for what was checked when it was saved. Both are most of what sending costs.
"""

import re
from dataclasses import dataclass, field
from functools import cache

from aiokafka.errors import PolicyViolationError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.contracts.envelope import CONTENT_TYPE, SPEC_VERSION, UnreadableRecord, read_envelope
from shared.contracts.registry import by_type
from shared.messaging.offsets import Partition
from shared.messaging.relaying.relay_rows import Row

Headers = list[tuple[str, bytes]]

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

#: Subjects up to this length in bytes are no longer in characters.
_SUBJECT_BYTES = 100

#: Keys and sources remembered before they are forgotten and looked at anew.
_REMEMBERED = 100_000

_CONTENT_TYPE = ("content-type", CONTENT_TYPE.encode())
_SPEC_VERSION = ("ce_specversion", SPEC_VERSION.encode())

_partition_of = DefaultPartitioner()


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Headers that are the same in all events of a type from one source."""

    source: tuple[str, bytes]
    type: tuple[str, bytes]
    dataschema: tuple[str, bytes]
    classification: tuple[str, bytes]


@cache
def _fixed(event_type: str, source: str) -> _Fixed:
    spec = by_type(event_type)
    if spec is None:
        raise PolicyViolationError(f"{event_type} is not registered")
    return _Fixed(
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_dataschema", spec.dataschema.encode()),
        ("ce_dataclassification", spec.classification.value.encode()),
    )


@dataclass(slots=True)
class Lot:
    """Rows of one partition that go to the broker together, in order."""

    partition: Partition
    builder: BatchBuilder
    rows: list[Row] = field(default_factory=list[Row])


class RecordMaker:
    """Makes records of rows: the same bytes as ``Envelope.headers`` gives, and none that no consumer could read."""

    def __init__(self) -> None:
        #: (source, key) of rows whose whole envelope was read as a consumer reads it.
        self._readable: set[tuple[str, str]] = set()
        self._places: dict[tuple[bytes, int], int] = {}

    def headers(self, row: Row) -> Headers:
        """The envelope of a row. Raises PolicyViolationError if no consumer could read it."""
        fixed = _fixed(row["type"], row["source"])
        subject: bytes = row["subject"]
        traceparent: bytes | None = row["traceparent"]
        headers: Headers = [
            _CONTENT_TYPE,
            _SPEC_VERSION,
            ("ce_id", row["event_id"]),
            fixed.source,
            fixed.type,
            ("ce_subject", subject),
            ("ce_time", row["time"]),
            fixed.dataschema,
            ("ce_partitionkey", row["key_bytes"]),
            ("ce_sequence", row["sequence"]),
            ("ce_correlationid", row["correlation_id"]),
        ]
        if (cause := row["causation_id"]) is not None:
            headers.append(("ce_causationid", cause))
        if traceparent is not None:
            headers.append(("ce_traceparent", traceparent))
        headers.append(fixed.classification)
        stream = (row["source"], row["key"])
        if (
            stream not in self._readable
            or not 0 < len(subject) <= _SUBJECT_BYTES
            or (traceparent is not None and _TRACEPARENT.fullmatch(traceparent) is None)
        ):
            self._read(row, headers)
        return headers

    def _read(self, row: Row, headers: Headers) -> None:
        try:
            read_envelope(row["key_bytes"], headers)
        except UnreadableRecord as error:
            raise PolicyViolationError(str(error)) from error
        if len(self._readable) >= _REMEMBERED:
            self._readable.clear()
        self._readable.add((row["source"], row["key"]))

    def place(self, key: bytes, partitions: int) -> int:
        """The partition of a key, as Kafka's own clients choose it."""
        place = self._places.get((key, partitions))
        if place is None:
            if len(self._places) >= _REMEMBERED:
                self._places.clear()
            numbers = list(range(partitions))
            place = self._places[key, partitions] = _partition_of(key, numbers, numbers)
        return place
