"""Held events in the database: those that wait for a missing one, or behind one that cannot be applied."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from shared.messaging.records import Event, Record, Stream, decode
from shared.persistence.pool import Connection


async def known(connection: Connection, events: Sequence[Event]) -> dict[Stream, dict[int, UUID]]:
    """Of the numbers that these events have: which are held, and under which event's id."""
    rows = await connection.fetch(
        """
        select topic, source, key, sequence, h.event_id from held_events h
        join unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as wanted (topic, source, key, sequence)
            using (topic, source, key, sequence)""",
        *_columns([event.stream for event in events]),
        [event.envelope.sequence for event in events],
    )
    found: dict[Stream, dict[int, UUID]] = {}
    for row in rows:
        found.setdefault(_stream(row), {})[row["sequence"]] = row["event_id"]
    return found


async def following(
    connection: Connection, after: Mapping[Stream, int], limit: int, *, open_values: bool = True
) -> dict[Stream, list[Event]]:
    """The first events held beyond a number, in order, at most ``limit`` of each stream."""
    rows = await connection.fetch(
        """
        select h.* from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as wanted (topic, source, key, last)
        cross join lateral (
            select topic, source, key, partition, broker_offset, broker_time, header_names, header_values, value
            from held_events held
            where held.topic = wanted.topic and held.source = wanted.source and held.key = wanted.key
                and held.sequence > wanted.last
            order by held.sequence limit $5
        ) h""",
        *_columns(list(after)),
        list(after.values()),
        limit,
    )
    found: dict[Stream, list[Event]] = {}
    for row in rows:
        found.setdefault(_stream(row), []).append(_event(row, open_value=open_values))
    return found


async def hold(connection: Connection, events: Sequence[Event]) -> None:
    """Keep events until they may be applied."""
    await connection.executemany(
        """
        insert into held_events (topic, source, key, sequence, event_id, partition, broker_offset, broker_time,
                                 header_names, header_values, value)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        [
            (
                *event.stream,
                event.envelope.sequence,
                event.envelope.id,
                event.record.partition,
                event.record.offset,
                event.record.time,
                [name.encode() for name, _ in event.record.headers],
                [value for _, value in event.record.headers],
                event.record.value,
            )
            for event in events
        ],
    )


async def release(connection: Connection, events: Sequence[Event]) -> None:
    """Forget events that were held and are accepted now."""
    await connection.execute(
        """
        delete from held_events h using unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
            as released (topic, source, key, sequence)
        where (h.topic, h.source, h.key, h.sequence) = (released.topic, released.source, released.key,
                                                        released.sequence)""",
        *_columns([event.stream for event in events]),
        [event.envelope.sequence for event in events],
    )


async def drop(connection: Connection, stream: Stream, sequence: int) -> None:
    """Forget one event, if it is held, without its being applied."""
    await connection.execute(
        "delete from held_events where topic = $1 and source = $2 and key = $3 and sequence = $4", *stream, sequence
    )


async def find(connection: Connection, stream: Stream, sequence: int) -> UUID | None:
    """Id of the event held under a number, or None."""
    return await connection.fetchval(
        "select event_id from held_events where topic = $1 and source = $2 and key = $3 and sequence = $4",
        *stream,
        sequence,
    )


def _event(row: Any, *, open_value: bool) -> Event:
    event = decode(
        Record(
            topic=row["topic"],
            partition=row["partition"],
            offset=row["broker_offset"],
            time=row["broker_time"],
            key=row["key"].encode(),
            headers=tuple(
                (name.decode(), value) for name, value in zip(row["header_names"], row["header_values"], strict=True)
            ),
            value=row["value"],
        ),
        open_value=open_value,
    )
    # Only an event with a readable envelope is ever held, so this can fail only if the envelope itself was
    # narrowed since: then it must not be lost, and the error says which event it is.
    if not isinstance(event, Event):
        raise ValueError(f"held event at {row['topic']}/{row['partition']}@{row['broker_offset']}: {event.error}")
    return event


def _stream(row: Any) -> Stream:
    return Stream(row["topic"], row["source"], row["key"])


def _columns(streams: Sequence[Stream]) -> tuple[list[str], list[str], list[str]]:
    return [s.topic for s in streams], [s.source for s in streams], [s.key for s in streams]
