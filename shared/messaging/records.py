"""What comes out of a topic: a raw record, and the event it holds if it can be read."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError

from shared.contracts.envelope import Envelope, UnreadableRecord, describe, read_envelope
from shared.contracts.fields import EventData
from shared.contracts.registry import by_type

#: Longest error kept with a record that cannot be delivered. It may quote the record, which may be of any size.
MAX_ERROR_CHARS = 1_000

#: The last instant a date can hold, in milliseconds since 1970: a broker may keep any 64-bit number.
_LAST_MOMENT_MS = 253_402_300_799_999

#: Up to here, the year 2100, seconds as a float are exact to the microsecond, and quicker.
_EXACT_BEFORE_MS = 4_102_444_800_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ConsumerRecord(Protocol):
    """The part of the client library's record that is used here."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


# Record and Event are made for every record there is, and making a frozen dataclass takes three times as long.


@dataclass(slots=True)
class Record:
    """A record as the broker keeps it. Never changed.

    The name of a header that is not UTF-8 holds its bytes as surrogate escapes.
    """

    topic: str
    partition: int
    offset: int
    time: datetime
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None
    #: Why the client could not unpack it, if it could not; then the value is the whole batch it lies in.
    damage: str | None = None
    #: What ``decode_ahead`` made of it, until ``decode`` takes it.
    decoded: "Event | Undeliverable | None" = field(default=None, init=False, compare=False, repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all the sender gave: what lies at the same place in another log has another."""
        digest = hashlib.sha256()
        parts = [self.key, self.value, str(self.time).encode()]
        for name, value in self.headers:
            parts += [name.encode(errors="surrogateescape"), value]
        for part in parts:
            # Lengths first, so that what moves from one part to the next shows.
            digest.update(b"-" if part is None else b"%d:%s" % (len(part), part))
        return digest.digest()

    @staticmethod
    def of(raw: ConsumerRecord) -> "Record":
        """Copy what a client library read. A timestamp that is no date is brought into range."""
        time = moment(raw.timestamp)
        return Record(raw.topic, raw.partition, raw.offset, time, raw.key, raw.headers, raw.value)


def moment(milliseconds: int) -> datetime:
    """A record's timestamp as an instant; one that is no date is brought into range."""
    if 0 <= milliseconds < _EXACT_BEFORE_MS:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    return _EPOCH + timedelta(milliseconds=min(max(milliseconds, 0), _LAST_MOMENT_MS))


class Stream(NamedTuple):
    """What is numbered together: all events of one source about one provider in one topic."""

    topic: str
    source: str
    key: str

    @property
    def name(self) -> str:
        """The stream in one word; a source begins with a slash."""
        return f"{self.topic}{self.source}/{self.key}"


class Defect(StrEnum):
    """Why a record goes to the dead letters."""

    UNREADABLE = "unreadable"
    BREAKS_CONTRACT = "breaks_contract"
    CONFLICT = "conflict"
    #: It could be read, and could not be applied in as many attempts as are allowed.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """A record that is not applied, and why: a text that a database can hold, whatever the record held."""

    record: Record
    defect: Defect
    error: str
    envelope: Envelope | None = None
    #: How often it was tried.
    attempts: int = 1


@dataclass(slots=True)
class Event:
    """A record whose envelope was read, and so has its place in a stream. Never changed."""

    record: Record
    envelope: Envelope
    #: None if this version does not know its type, or if it is broken.
    data: EventData | None
    #: How the value breaks the contract, if it does.
    broken: str | None = None
    #: The stream it is numbered in.
    stream: Stream = field(init=False)

    def __post_init__(self) -> None:
        self.stream = Stream(self.record.topic, self.envelope.source, self.envelope.key)


def undeliverable(record: Record, defect: Defect, error: str, envelope: Envelope | None = None) -> Undeliverable:
    """Say why a record cannot be delivered. What the error quotes of the record is cut and made printable."""
    return Undeliverable(record, defect, printable(error), envelope)


def printable(error: str) -> str:
    """An error as a database can hold it, whatever it quotes, and not longer than MAX_ERROR_CHARS."""
    return error.encode(errors="backslashreplace").decode().replace("\x00", "\\x00")[:MAX_ERROR_CHARS]


def decode(record: Record, *, open_value: bool = True) -> Event | Undeliverable:
    """Read a record.

    Undeliverable is what has no place in any stream: its envelope cannot be read, or it is in the wrong topic or
    from the wrong producer. An event of a type added after this version is not an error: it is an Event without
    data. Neither is one whose value breaks its contract: it is an Event that is ``broken``, and waits for its turn.
    ``open_value=False`` leaves the value alone, and the event without data.
    """
    if open_value and record.decoded is not None:
        # Taken away, because the event holds the record: what holds each other is freed late.
        decoded, record.decoded = record.decoded, None
        return decoded
    if record.damage is not None:
        return undeliverable(record, Defect.UNREADABLE, record.damage)
    try:
        envelope = read_envelope(record.key, record.headers)
    except UnreadableRecord as error:
        return undeliverable(record, Defect.UNREADABLE, str(error))
    spec = by_type(envelope.type)
    if spec is None:
        return Event(record, envelope, None)
    if spec.topic != record.topic:
        problem = f"{envelope.type} belongs in topic {spec.topic}, not in {record.topic}"
        return undeliverable(record, Defect.BREAKS_CONTRACT, problem, envelope)
    if not envelope.source.endswith(f"/{spec.producer}"):
        problem = f"{envelope.type} is published by {spec.producer}, not by its ce_source"
        return undeliverable(record, Defect.BREAKS_CONTRACT, problem, envelope)
    if not open_value:
        return Event(record, envelope, None)
    if record.value is None:
        return Event(record, envelope, None, "the record has no value")
    try:
        # What the model's own method hands over to, without the way there.
        return Event(record, envelope, spec.model.__pydantic_validator__.validate_json(record.value))
    except ValidationError as error:
        return Event(record, envelope, None, printable(describe(error, "data.")))


def decode_ahead(record: Record) -> None:
    """Read a record now, so that the next ``decode`` has nothing left to do."""
    record.decoded = decode(record)
