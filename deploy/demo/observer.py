# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
"""An onlooker on the topics, as another office would be: it knows the contracts and nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.demo.api import PATIENCE_S, DemoFailed
from shared.contracts.envelope import Envelope, RawHeaders, UnreadableRecord, read_envelope
from shared.contracts.fields import EventData
from shared.contracts.registry import PARTITIONS, Topic, by_type


@dataclass(frozen=True)
class Seen:
    """An event that was read from a topic."""

    envelope: Envelope
    data: EventData

    @property
    def name(self) -> str:
        """Its name without prefix and version, such as `concern.raised`."""
        spec = by_type(self.envelope.type)
        return spec.name if spec else self.envelope.type


@dataclass
class Observer:
    """Reads all topics from their beginning and remembers what happened since `since`."""

    bootstrap: str
    fetch_max_wait_ms: int
    since: datetime
    tell: Callable[[Seen], None]
    events: list[Seen] = field(default_factory=list[Seen])
    #: Offset after the last record read of each (topic, partition).
    read_to: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    _sequences: dict[tuple[str, str, str], set[int]] = field(
        default_factory=lambda: defaultdict[tuple[str, str, str], set[int]](set)
    )
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        """Read until cancelled."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self.fetch_max_wait_ms,
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic.value, p) for topic in Topic for p in range(PARTITIONS)])
            while True:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        self.read_to[record.topic, record.partition] = record.offset + 1
                        await self._take(record.topic, record.key, record.headers, record.value)
        finally:
            await consumer.stop()

    async def _take(self, topic: str, key: bytes | None, headers: RawHeaders, value: bytes | None) -> None:
        try:
            envelope = read_envelope(key, headers)
        except UnreadableRecord:
            return  # not ours; the services keep it among their dead letters
        spec = by_type(envelope.type)
        if spec is None or value is None:
            return
        stream = self._sequences[topic, envelope.source, envelope.key]
        again = envelope.sequence in stream
        stream.add(envelope.sequence)
        if again or envelope.time < self.since:
            return
        seen = Seen(envelope, spec.model.model_validate_json(value))
        async with self._changed:
            self.events.append(seen)
            self._changed.notify_all()
        self.tell(seen)

    async def wait_for(self, name: str, wanted: Callable[[Seen], bool]) -> Seen:
        """The first event of a name that is wanted. Raises DemoFailed if none comes in time."""

        def found() -> Seen | None:
            return next((seen for seen in self.events if seen.name == name and wanted(seen)), None)

        try:
            async with asyncio.timeout(PATIENCE_S), self._changed:
                await self._changed.wait_for(lambda: found() is not None)
        except TimeoutError as error:
            raise DemoFailed(f"No {name} came within {PATIENCE_S:.0f} s: see `qc status` and `qc logs`.") from error
        event = found()
        assert event is not None  # waited for just now
        return event

    @property
    def counts(self) -> Counter[str]:
        """How many events of each name there were since the beginning of the demo."""
        return Counter(seen.name for seen in self.events)

    @property
    def gaps(self) -> int:
        """Numbers missing between the first and the last that was read of each stream."""
        return sum(max(numbers) - min(numbers) + 1 - len(numbers) for numbers in self._sequences.values())
