"""The table of the feed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from services.notify.domain.redaction import JsonObject
from services.notify.domain.stakeholders import EventName
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An event that was received, without its internal fields."""

    event_id: UUID
    name: EventName
    type: str
    source: str
    subject: str
    key: str
    time: datetime
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str | None
    data: JsonObject
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Entry(NewEntry):
    """An entry of the feed, with its place in it."""

    position: int


_COLUMNS = (
    "position, event_id, name, type, source, subject, key, time, correlation_id, causation_id, traceparent, data, "
    "received_at"
)


async def add(connection: Connection, entries: Sequence[NewEntry]) -> set[UUID]:
    """Add entries, in this order; returns the ids of the events that were not there before."""
    rows = await connection.fetch(
        """
        insert into feed (event_id, name, type, source, subject, key, time, correlation_id, causation_id,
                          traceparent, data, received_at)
        select event_id, name, type, source, subject, key, time, correlation_id, causation_id, traceparent, data,
               received_at
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                    $8::uuid[], $9::uuid[], $10::text[], $11::jsonb[], $12::timestamptz[])
            with ordinality as i (event_id, name, type, source, subject, key, time, correlation_id, causation_id,
                                  traceparent, data, received_at, place)
        order by place
        on conflict (event_id) do nothing
        returning event_id""",
        [entry.event_id for entry in entries],
        [entry.name.value for entry in entries],
        [entry.type for entry in entries],
        [entry.source for entry in entries],
        [entry.subject for entry in entries],
        [entry.key for entry in entries],
        [entry.time for entry in entries],
        [entry.correlation_id for entry in entries],
        # asyncpg's stubs do not allow for a null in an array; PostgreSQL and asyncpg do.
        cast("list[UUID]", [entry.causation_id for entry in entries]),
        cast("list[str]", [entry.traceparent for entry in entries]),
        [entry.data for entry in entries],
        [entry.received_at for entry in entries],
    )
    return {row["event_id"] for row in rows}


async def page(
    connection: Connection, *, provider: str | None, name: EventName | None, after: int, limit: int
) -> list[Entry]:
    """Entries after a position, oldest first."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from feed
        where position > $1 and ($2::text is null or key = $2) and ($3::text is null or name = $3)
        order by position limit $4""",  # noqa: S608 columns are a constant
        after,
        provider,
        name.value if name else None,
        limit,
    )
    return [Entry(**{**row, "name": EventName(row["name"])}) for row in rows]


async def load(connection: Connection, event_id: UUID) -> Entry | None:
    """The entry of one event; None if it was not received."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from feed where event_id = $1",  # noqa: S608 columns are a constant
        event_id,
    )
    return Entry(**{**row, "name": EventName(row["name"])}) if row else None
