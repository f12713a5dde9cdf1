# pyright: reportMissingTypeStubs=false
# The Kafka client is untyped.
"""What a service has published, read back from its topics: the memory of what its database may have lost."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from shared.contracts.envelope import Envelope, UnreadableRecord, read_envelope
from shared.contracts.registry import EVENTS
from shared.messaging.log_reading import LogReader, Span
from shared.messaging.offsets import Partition
from shared.messaging.records import Record

_log = structlog.get_logger("relay")


class Acknowledged(NamedTuple):
    """How far a cluster acknowledged a service's records in one partition, as its database has it."""

    cluster_id: str
    next_offset: int


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """An event of this service as it lies in a topic."""

    record: Record
    envelope: Envelope
    #: True if the database should know it by its id: it was acknowledged after what the database says of that.
    is_recent: bool


def topics_of(source: str) -> list[str]:
    """Topics that a source publishes to, by the registry."""
    producer = source.rpartition("/")[2]
    return sorted({spec.topic.value for spec in EVENTS if spec.producer == producer})


def beyond(
    spans: Mapping[Partition, Span], acknowledged: Mapping[Partition, Acknowledged], cluster_id: str
) -> dict[Partition, Span]:
    """What of the partitions lies beyond what this cluster acknowledged.

    A partition that it acknowledged nothing of, or more than it holds now, is left out: its log is another one.
    """
    return {
        partition: Span(known.next_offset, span.end)
        for partition, span in spans.items()
        if (known := acknowledged.get(partition)) is not None
        and known.cluster_id == cluster_id
        and span.begin <= known.next_offset <= span.end
    }


async def read(
    log: LogReader, spans: Mapping[Partition, Span], recent: Mapping[Partition, Span], source: str
) -> AsyncGenerator[Sequence[OwnRecord]]:
    """The records of a source in these stretches, in portions, each partition's in order.

    ``recent`` is what lies ``beyond`` what was acknowledged. What cannot be read is nobody's, and is left out.
    """
    header = ("ce_source", source.encode())
    async for records in log.read(spans):
        own: list[OwnRecord] = []
        for record in records:
            if header not in record.headers:
                continue
            try:
                envelope = read_envelope(record.key, record.headers)
            except UnreadableRecord as error:
                _log.warning(
                    "a record under our name is no event",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    error=str(error),
                )
                continue
            stretch = recent.get((record.topic, record.partition))
            own.append(OwnRecord(record, envelope, stretch is not None and record.offset >= stretch.begin))
        if own:
            yield own
