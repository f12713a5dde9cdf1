"""What the topics hold, as far as it is compared: every event's place, without what it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from shared.contracts.fields import EventData
from shared.messaging.records import Event, Record, Stream, decode


class Told(NamedTuple):
    """An event as it stands in a topic for the first time."""

    stream: Stream
    sequence: int
    type: str
    subject: str
    causation_id: UUID | None
    #: Concerns its data names.
    concerns: tuple[UUID, ...]


class Misplaced(NamedTuple):
    """An event whose number stands in the topic after a higher one."""

    event_id: UUID
    stream: Stream
    sequence: int
    after: int


class Rival(NamedTuple):
    """An event under a number, or with an id, that another one has."""

    event_id: UUID
    stream: Stream
    sequence: int
    first: str


@dataclass(slots=True)
class StreamLog:
    """One stream in its topic."""

    #: The first event under each number.
    ids: dict[int, UUID] = field(default_factory=dict[int, UUID])
    highest: int = 0

    @property
    def lowest(self) -> int:
        """The lowest number there is."""
        return min(self.ids)

    def missing(self) -> Iterator[int]:
        """Numbers between the lowest and the highest under which there is nothing."""
        if self.highest - self.lowest + 1 != len(self.ids):
            yield from (number for number in range(self.lowest, self.highest) if number not in self.ids)


@dataclass(slots=True)
class TopicLog:
    """All events of all topics, taken in in the order of each partition."""

    streams: dict[Stream, StreamLog] = field(default_factory=dict[Stream, StreamLog])
    events: dict[UUID, Told] = field(default_factory=dict[UUID, Told])
    misplaced: list[Misplaced] = field(default_factory=list[Misplaced])
    rivals: list[Rival] = field(default_factory=list[Rival])
    records: int = 0
    #: Records of an event that stands there already: harmless, positions drop them.
    repeats: int = 0
    #: Records that hold no event of this system, or one that breaks its contract.
    not_events: int = 0
    #: Events that break their contract, by their place, where their envelope can be read.
    broken: dict[tuple[Stream, int], UUID] = field(default_factory=dict[tuple[Stream, int], UUID])

    def take(self, records: Iterable[Record]) -> None:
        """Take in records of one partition, in order."""
        for record in records:
            self.records += 1
            decoded = decode(record)
            if isinstance(decoded, Event) and decoded.broken is None:
                self._take(decoded)
                continue
            self.not_events += 1
            if isinstance(decoded, Event):
                self.broken.setdefault((decoded.stream, decoded.envelope.sequence), decoded.envelope.id)

    def id_at(self, stream: Stream, sequence: int) -> UUID | None:
        """The event under a number, or one that breaks its contract if there is none else; or None."""
        there = self.streams.get(stream)
        known = there.ids.get(sequence) if there else None
        return known or self.broken.get((stream, sequence))

    def _take(self, event: Event) -> None:
        envelope, stream = event.envelope, event.stream
        log = self.streams.setdefault(stream, StreamLog())
        known = log.ids.get(envelope.sequence)
        if known == envelope.id:
            self.repeats += 1
            return
        elsewhere = self.events.get(envelope.id)
        if known is not None or elsewhere is not None:
            first = str(known) if known is not None else place(elsewhere.stream, elsewhere.sequence)  # pyright: ignore[reportOptionalMemberAccess]
            rival = Rival(envelope.id, stream, envelope.sequence, first)
            if rival not in self.rivals:
                self.rivals.append(rival)
            if known is not None:
                return
        if envelope.sequence < log.highest:
            self.misplaced.append(Misplaced(envelope.id, stream, envelope.sequence, log.highest))
        log.highest = max(log.highest, envelope.sequence)
        log.ids[envelope.sequence] = envelope.id
        self.events.setdefault(
            envelope.id,
            Told(
                stream,
                envelope.sequence,
                envelope.type,
                envelope.subject,
                envelope.causationid,
                _concerns(event.data),
            ),
        )


def place(stream: Stream, sequence: int) -> str:
    """A number of a stream, for people."""
    return f"{stream.topic}{stream.source}/{stream.key}#{sequence}"


def _concerns(data: EventData | None) -> tuple[UUID, ...]:
    one: UUID | None = getattr(data, "concern_id", None)
    if one is None:
        return tuple(dict.fromkeys(getattr(data, "concern_ids", ())))
    merged: UUID | None = getattr(data, "merged_concern_id", None)
    return (one,) if merged is None else (one, merged)
