# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""Reading a stretch of the topics once, outside any consumer group: it commits no offset and takes no partition."""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from shared.contracts.registry import PARTITIONS
from shared.messaging import raw_records
from shared.messaging.broker import KafkaSettings
from shared.messaging.offsets import Partition
from shared.messaging.records import Record

#: How long the brokers may give nothing of what there is, in seconds, before reading is given up.
STALL_S = 30.0

#: How long closing a reader may take, in seconds, before it is insisted on.
_CLOSE_S = 3.0

#: How long the brokers are asked for the ends of what they hold, in seconds; what they have said by then counts.
_MARKS_S = 1.0

#: What the client library raises for a record that it cannot decode.
_UNDECODABLE = (UnicodeDecodeError, CorruptRecordException, UnsupportedCodecError)


class LogNotReadable(RuntimeError):
    """A partition does not give what it is said to hold. The message says which, and from where on."""


class Span(NamedTuple):
    """A stretch of a partition's log: from ``begin`` to before ``end``."""

    begin: int
    end: int


class LogReader:
    """Reads records by their place. Open one with ``open_log``."""

    def __init__(self, kafka: KafkaSettings, client: AIOKafkaConsumer) -> None:
        self._kafka = kafka
        self._client = client

    async def spans(self, topics: Collection[str]) -> dict[Partition, Span]:
        """What each partition of these topics holds now."""
        wanted = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        begins = await self._client.beginning_offsets(wanted)
        ends = await self._client.end_offsets(wanted)
        marks = await self._high_waters({tp: end for tp, end in ends.items() if end > begins[tp]})
        return {(tp.topic, tp.partition): Span(begins[tp], max(ends[tp], marks.get(tp, 0))) for tp in wanted}

    async def _high_waters(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Ends as the answers to fetches tell them: the embedded broker's other answer can be far behind."""
        self._client.assign(list(ends))
        for tp, end in ends.items():
            # Where there is a record, the broker answers at once.
            self._client.seek(tp, end - 1)
        marks: dict[TopicPartition, int] = {}
        asked = time.monotonic()
        while len(marks) < len(ends) and time.monotonic() - asked < _MARKS_S:
            # A record that cannot be decoded is met again by whoever reads it; the answer has the mark all the same.
            with suppress(*_UNDECODABLE):
                await self._client.getmany(timeout_ms=50)
            marks = {tp: mark for tp in ends if (mark := self._client.highwater(tp)) is not None}
        return marks

    async def read(self, spans: Mapping[Partition, Span], *, portion: int = 2_000) -> AsyncGenerator[Sequence[Record]]:
        """The records of these stretches, in portions, each partition's in order.

        Raises LogNotReadable if nothing comes for STALL_S seconds.
        """
        place = {TopicPartition(*partition): span.begin for partition, span in spans.items() if span.begin < span.end}
        ends = {tp: spans[tp.topic, tp.partition].end for tp in place}
        self._client.assign(list(place))
        for tp, offset in place.items():
            self._client.seek(tp, offset)
        moved = time.monotonic()
        while place:
            try:
                fetched = await self._client.getmany(timeout_ms=500, max_records=portion)
                found = {tp: [Record.of(raw) for raw in raws] for tp, raws in fetched.items() if tp in place}
            except _UNDECODABLE:
                # The client drops what it had fetched beside that record; all is read from where we are.
                found = {
                    tp: await raw_records.read(self._kafka, tp.topic, tp.partition, offset)
                    for tp, offset in place.items()
                }
                for tp, records in found.items():
                    self._client.seek(tp, records[-1].offset + 1 if records else place[tp])
            if found:
                moved = time.monotonic()
            for tp, records in found.items():
                if within := [record for record in records if record.offset < ends[tp]]:
                    place[tp] = within[-1].offset + 1
                    yield within
            for tp in [tp for tp, end in ends.items() if tp in place and await self._client.position(tp) >= end]:
                del place[tp]
                self._client.pause(tp)
            if time.monotonic() - moved > STALL_S:
                tp, offset = next(iter(place.items()))
                raise LogNotReadable(
                    f"{tp.topic}/{tp.partition} gives nothing from offset {offset} on, and should up to {ends[tp]}: "
                    "look at the brokers' logs and at `qc topics check`"
                )


@asynccontextmanager
async def open_log(kafka: KafkaSettings) -> AsyncGenerator[LogReader]:
    """A reader of the log, closed at the end. Raises KafkaError if no broker answers."""
    client = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap,
        client_id=kafka.client_id,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=kafka.fetch_max_wait_ms,
    )
    await client.start()
    try:
        yield LogReader(kafka, client)
    finally:
        await _close(client)


async def _close(client: AIOKafkaConsumer) -> None:
    """Stop a client. It cancels tasks of its own, which with bad luck miss it, and then it waits for them for ever."""
    stopping = asyncio.create_task(client.stop())
    stopped, _ = await asyncio.wait({stopping}, timeout=_CLOSE_S)
    if not stopped:
        # Cancelled a second time, through what waits for them, they end; its connections are left to us then.
        stopping.cancel()
        await asyncio.wait({stopping}, timeout=_CLOSE_S)
        await client._client.close()  # pyright: ignore[reportPrivateUsage] there is no public way
    # That the client cancelled something is not that somebody cancelled us.
    elif not stopping.cancelled() and (error := stopping.exception()) is not None:
        raise error
