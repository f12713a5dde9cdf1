"""The table of the feed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from services.notify.domain.feed_places import Missing, places
from services.notify.domain.redaction import JsonObject
from services.notify.domain.stakeholders import EventName
from shared.contracts.registry import Topic, by_type
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
        *_values(entries),
    )
    return {row["event_id"] for row in rows}


async def mend(connection: Connection, entries: Sequence[NewEntry]) -> int:
    """Mend entries that differ; returns how many. When one was received, and its position, stay as they are."""
    mended = await connection.execute(
        """
        update feed f set name = i.name, type = i.type, source = i.source, subject = i.subject, key = i.key,
            time = i.time, correlation_id = i.correlation_id, causation_id = i.causation_id,
            traceparent = i.traceparent, data = i.data
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                    $8::uuid[], $9::uuid[], $10::text[], $11::jsonb[], $12::timestamptz[])
            as i (event_id, name, type, source, subject, key, time, correlation_id, causation_id, traceparent, data,
                  received_at)
        where f.event_id = i.event_id
          and (f.name, f.type, f.source, f.subject, f.key, f.time, f.correlation_id, f.causation_id, f.traceparent,
               f.data)
              is distinct from (i.name, i.type, i.source, i.subject, i.key, i.time, i.correlation_id, i.causation_id,
                                i.traceparent, i.data)""",
        *_values(entries),
    )
    return int(mended.split()[-1])


async def missing(connection: Connection, entries: Sequence[NewEntry]) -> list[Missing]:
    """Which entries are not there, and between which of their stream; ``entries`` holds each stream's in order."""
    rows = await connection.fetch(
        "select event_id, position from feed where event_id = any($1)", [entry.event_id for entry in entries]
    )
    return _missing(entries, {row["event_id"]: row["position"] for row in rows})


async def put_back(connection: Connection, lost: Sequence[Missing], entries: Mapping[UUID, NewEntry]) -> int:
    """Put entries back that are missing, in places that the feed has left free; returns how many."""
    if not lost:
        return 0
    free = await connection.fetch(
        """
        select free from generate_series($1::bigint + 1, (select max(position) from feed)) as free
        where not exists (select from feed where position = free)""",
        min(one.after for one in lost),
    )
    found = places(lost, (row["free"] for row in free))
    back = [entries[event_id] for event_id in found]
    await connection.execute(
        """
        insert into feed (event_id, name, type, source, subject, key, time, correlation_id, causation_id,
                          traceparent, data, received_at, position) overriding system value
        select event_id, name, type, source, subject, key, time, correlation_id, causation_id, traceparent, data,
               received_at, position
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                    $8::uuid[], $9::uuid[], $10::text[], $11::jsonb[], $12::timestamptz[], $13::bigint[])
            as i (event_id, name, type, source, subject, key, time, correlation_id, causation_id, traceparent, data,
                  received_at, position)
        on conflict (event_id) do nothing""",
        *_values(back),
        list(found.values()),
    )
    every = [event_id for one in lost for event_id in one.events]
    await add(connection, [entries[event_id] for event_id in every if event_id not in found])
    return len(every)


def _missing(entries: Sequence[NewEntry], there: Mapping[UUID, int]) -> list[Missing]:
    """The runs of missing entries of each stream, with the positions of their neighbours."""
    found: list[Missing] = []
    streams: dict[tuple[Topic, str, str], list[NewEntry]] = {}
    for entry in entries:
        spec = by_type(entry.type)
        assert spec is not None  # only events of known types are heard
        streams.setdefault((spec.topic, entry.source, entry.key), []).append(entry)
    for stream in streams.values():
        after, run = 0, list[UUID]()
        for entry in stream:
            position = there.get(entry.event_id)
            if position is None:
                run.append(entry.event_id)
                continue
            if run:
                found.append(Missing(run, after, position))
                run = []
            after = position
        if run:
            found.append(Missing(run, after, None))
    return found


def _values(entries: Sequence[NewEntry]) -> tuple[Sequence[Any], ...]:
    """The columns of new entries, in the order of the table."""
    return (
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
