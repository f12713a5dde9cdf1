"""What comes out of a topic: a raw record, and the event it holds if it can be read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError

from shared.contracts.envelope import Envelope, UnreadableRecord, describe, read_envelope
from shared.contracts.fields import EventData
from shared.contracts.registry import by_type


class ConsumerRecord(Protocol):
    """The part of the client library's record that is used here."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


@dataclass(frozen=True, slots=True)
class Record:
    """A record as the broker keeps it."""

    topic: str
    partition: int
    offset: int
    time: datetime
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None

    @staticmethod
    def of(raw: ConsumerRecord) -> "Record":
        """Copy what a client library read."""
        return Record(
            topic=raw.topic,
            partition=raw.partition,
            offset=raw.offset,
            time=datetime.fromtimestamp(max(raw.timestamp, 0) / 1000, tz=UTC),
            key=raw.key,
            headers=tuple((name, value) for name, value in raw.headers),
            value=raw.value,
        )


class Stream(NamedTuple):
    """What is numbered together: all events of one source about one provider in one topic."""

    topic: str
    source: str
    key: str


class Defect(StrEnum):
    """Why a record goes to the dead letters."""

    UNREADABLE = "unreadable"
    BREAKS_CONTRACT = "breaks_contract"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """A record that can never be applied, and why. The error names fields, never values."""

    record: Record
    defect: Defect
    error: str
    envelope: Envelope | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A record whose envelope was read; ``data`` is None if this version does not know its type."""

    record: Record
    envelope: Envelope
    data: EventData | None

    @property
    def stream(self) -> Stream:
        """The stream it is numbered in."""
        return Stream(self.record.topic, self.envelope.source, self.envelope.key)


def decode(record: Record) -> Event | Undeliverable:
    """Read a record. An event of a type added after this version is not an error: it is an Event without data."""
    try:
        envelope = read_envelope(record.key, record.headers)
    except UnreadableRecord as error:
        return Undeliverable(record, Defect.UNREADABLE, str(error))
    spec = by_type(envelope.type)
    if spec is None:
        return Event(record, envelope, None)
    if spec.topic != record.topic:
        problem = f"{envelope.type} belongs in topic {spec.topic}, not in {record.topic}"
        return Undeliverable(record, Defect.BREAKS_CONTRACT, problem, envelope)
    if not envelope.source.endswith(f"/{spec.producer}"):
        problem = f"{envelope.type} is published by {spec.producer}, not by {envelope.source}"
        return Undeliverable(record, Defect.BREAKS_CONTRACT, problem, envelope)
    if record.value is None:
        return Undeliverable(record, Defect.BREAKS_CONTRACT, "the record has no value", envelope)
    try:
        data = spec.model.model_validate_json(record.value)
    except ValidationError as error:
        return Undeliverable(record, Defect.BREAKS_CONTRACT, describe(error, "data."), envelope)
    return Event(record, envelope, data)
