"""The outbox: events saved in the transaction of the change they tell of, numbered without a gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from shared.contracts.fields import EventData, OdsCode
from shared.contracts.registry import MAX_VALUE_BYTES, EventSpec, by_model
from shared.messaging import wake
from shared.persistence.failures import PassingFailure
from shared.persistence.pool import Connection
from shared.persistence.statements import FEW, planned_once

#: Channel on which a relay hears that there is something to send. Only a hint: it also polls.
WAKE_CHANNEL = "outbox"


class EventTooLarge(ValueError):
    """An event is larger than any topic takes. It is refused while the change can still be refused with it."""


class EmissionRefused(PassingFailure):
    """This database is older than what its service published: its numbers would be given out a second time."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the service may not emit: {reason}; run `qc outbox recover`")


class InvalidKey(ValueError):
    """An event's key is no ODS code: no consumer could read the event, so it is refused before it is saved."""


_ODS_CODE = TypeAdapter[str](OdsCode)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be saved; its sequence is given by the outbox."""

    id: UUID
    data: EventData
    #: ODS code of the provider it is about.
    key: str
    time: datetime
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str

    @property
    def spec(self) -> EventSpec:
        """Its entry in the registry."""
        return by_model(type(self.data))

    @property
    def subject(self) -> str:
        """Id of the aggregate it is about."""
        return str(getattr(self.data, self.spec.subject_field))


_SAVE = """
    with incoming as materialized (
        select i.* from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                               $8::uuid[], $9::uuid[], $10::text[], $11::text[])
            with ordinality as i (event_id, type, subject, topic, key, time, correlation_id, causation_id,
                                  traceparent, data, place)
        -- Lateral with a limit: whatever the planner believes of the table, one look into the index an event.
        left join lateral (
            select true as is_there from outbox o where o.event_id = i.event_id limit 1
        ) known on i.causation_id is not null
        where known.is_there is null and not exists (select from outbox_fence)
    ),
    counters as (
        insert into outbox_counters as c (topic, key, last_sequence)
        select topic, key, count(*) from incoming group by topic, key order by topic, key
        on conflict (topic, key) do update set last_sequence = c.last_sequence + excluded.last_sequence
        returning topic, key, last_sequence
    ),
    numbered as (
        select i.*, c.last_sequence - count(*) over whole + row_number() over within as sequence
        from incoming i join counters c using (topic, key)
        window whole as (partition by topic, key), within as (partition by topic, key order by place)
    ),
    saved as (
        insert into outbox (event_id, type, source, subject, topic, key, sequence, time, correlation_id,
                            causation_id, traceparent, data)
        select event_id, type, $1, subject, topic, key, sequence, time, correlation_id, causation_id,
               traceparent, data
        from numbered order by place
        returning position
    )
    insert into outbox_unsent select position from saved"""

_SAVE_FEW = planned_once(_SAVE)


async def save(connection: Connection, source: str, events: Sequence[NewEvent]) -> None:
    """Save events in the caller's transaction, in this order, in one statement.

    An event that follows from another and is there already, by its id, is left out and takes no number: a reaction
    was repeated. The counters' rows stay locked until the transaction ends, so call it last, and once, and call
    ``wake.up`` after the commit. ``source`` is the CloudEvents source, ``/<office>/<service>``.

    Raises EventTooLarge or InvalidKey, before anything is written, and EmissionRefused while the service may not emit.
    """
    if not events:
        return
    values = [_value(event) for event in events]
    answer = await connection.execute(
        _SAVE_FEW if len(events) <= FEW else _SAVE,
        source,
        [event.id for event in events],
        [event.spec.type for event in events],
        [event.subject for event in events],
        [event.spec.topic.value for event in events],
        [event.key for event in events],
        [event.time for event in events],
        [event.correlation_id for event in events],
        # asyncpg's stubs do not allow for a null in an array; PostgreSQL and asyncpg do.
        cast("list[UUID]", [event.causation_id for event in events]),
        [event.traceparent for event in events],
        values,
    )
    if int(answer.split()[-1]) < len(events) and (reason := await fence(connection)) is not None:
        raise EmissionRefused(reason)
    if not wake.is_heard(source):
        # No relay in this process: the one elsewhere hears of it from the database.
        await connection.execute("select pg_notify($1, '')", WAKE_CHANNEL)


async def fence(connection: Connection) -> str | None:
    """Why this service may not emit, or None while it may."""
    return await connection.fetchval("select reason from outbox_fence")


def _value(event: NewEvent) -> str:
    try:
        _ODS_CODE.validate_python(event.key)
    except ValidationError as error:
        raise InvalidKey(f"{event.spec.type} of {event.subject} has a key that is no ODS code") from error
    value = event.data.model_dump_json()
    if (size := len(value.encode())) > MAX_VALUE_BYTES:
        raise EventTooLarge(
            f"{event.spec.type} of {event.subject} has {size} bytes; at most {MAX_VALUE_BYTES} can be sent"
        )
    return value


async def prune(connection: Connection, before: datetime, limit: int = 10_000) -> int:
    """Delete up to ``limit`` rows saved before an instant; returns how many. Unsent rows are never deleted."""
    deleted = await connection.execute(
        """
        delete from outbox where position in (
            select position from outbox o
            where saved_at < $1 and not exists (select from outbox_unsent u where u.position = o.position)
            limit $2
        )""",
        before,
        limit,
    )
    return int(deleted.split()[-1])
