"""Records made by hand, so that a test can break any part of them."""

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime

from shared.contracts.concerns import ClosureReason, ConcernClosed
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Origin, ProviderRef
from shared.contracts.registry import EventSpec, Topic, by_model
from shared.messaging.records import Event, Record, decode
from shared.reference.kinds import ProviderKind

SOURCE = "/test-office/intelligence"
MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
CLOSED: EventSpec = by_model(ConcernClosed)

Headers = tuple[tuple[str, bytes], ...]


def closed_event(key: str, *, name: str = "Testbrook (fictional)") -> ConcernClosed:
    return ConcernClosed(
        concern_id=uuid.uuid4(),
        reference="T-1",
        provider=ProviderRef(ods_code=key, name=name, kind=ProviderKind.HOSPITAL_TRUST),
        reason=ClosureReason.RESOLVED,
        closed_on=date(2024, 5, 1),
        origin=Origin.REPORTED,
    )


def envelope(
    sequence: int = 1,
    *,
    key: str = "FICTHT001",
    source: str = SOURCE,
    event_id: uuid.UUID | None = None,
    event_type: str = CLOSED.type,
) -> Envelope:
    return Envelope(
        id=event_id or uuid.uuid4(),
        source=source,
        type=event_type,
        subject="a-subject",
        time=MOMENT,
        dataschema=CLOSED.dataschema,
        key=key,
        sequence=sequence,
        correlationid=uuid.uuid4(),
        dataclassification=CLOSED.classification,
    )


def record(
    sequence: int = 1,
    *,
    key: str = "FICTHT001",
    source: str = SOURCE,
    event_id: uuid.UUID | None = None,
    event_type: str = CLOSED.type,
    topic: str = Topic.CONCERNS.value,
    partition: int = 0,
    offset: int = 0,
) -> Record:
    """A record as the relay would have sent it."""
    of = envelope(sequence, key=key, source=source, event_id=event_id, event_type=event_type)
    return Record(
        topic=topic,
        partition=partition,
        offset=offset,
        time=MOMENT,
        key=key.encode(),
        headers=tuple(of.headers()),
        value=closed_event(key).model_dump_json().encode(),
    )


def event(
    sequence: int = 1,
    *,
    key: str = "FICTHT001",
    event_id: uuid.UUID | None = None,
    partition: int = 0,
    offset: int = 0,
) -> Event:
    decoded = decode(record(sequence, key=key, event_id=event_id, partition=partition, offset=offset))
    assert isinstance(decoded, Event)
    return decoded


def with_header(headers: Iterable[tuple[str, bytes]], name: str, change: Callable[[bytes], bytes]) -> Headers:
    """The headers with the value of one of them changed."""
    return tuple((n, change(v) if n == name else v) for n, v in headers)


def without_header(headers: Iterable[tuple[str, bytes]], name: str) -> Headers:
    return tuple((n, v) for n, v in headers if n != name)
