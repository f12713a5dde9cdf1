"""Positions and held events in the database: one statement each, whatever the size of the batch."""

from collections.abc import Collection, Mapping, Sequence

from shared.messaging.ordering import Position
from shared.messaging.records import Event, Record, Stream, decode
from shared.persistence.pool import Connection


async def load(connection: Connection, streams: Collection[Stream]) -> dict[Stream, Position]:
    """Positions of the streams that have one."""
    rows = await connection.fetch(
        """
        select topic, source, key, last_sequence, last_event_id, baseline from positions
        join unnest($1::text[], $2::text[], $3::text[]) as wanted (topic, source, key) using (topic, source, key)""",
        *_columns(streams),
    )
    return {
        Stream(row["topic"], row["source"], row["key"]): Position(
            row["last_sequence"], row["last_event_id"], row["baseline"]
        )
        for row in rows
    }


async def save(connection: Connection, positions: Mapping[Stream, Position]) -> None:
    """Move positions forward."""
    if not positions:
        return
    await connection.execute(
        """
        insert into positions as p (topic, source, key, last_sequence, last_event_id, baseline)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::uuid[], $6::bigint[])
        on conflict (topic, source, key) do update
        set last_sequence = excluded.last_sequence, last_event_id = excluded.last_event_id,
            baseline = excluded.baseline, updated_at = now()""",
        *_columns(positions),
        [position.last_sequence for position in positions.values()],
        [position.last_event_id for position in positions.values()],
        [position.baseline for position in positions.values()],
    )


async def load_held(connection: Connection, streams: Collection[Stream]) -> list[Event]:
    """Events held for these streams, in order."""
    rows = await connection.fetch(
        """
        select topic, partition, broker_offset, broker_time, key, header_names, header_values, value
        from held_events
        join unnest($1::text[], $2::text[], $3::text[]) as wanted (topic, source, key) using (topic, source, key)
        order by topic, source, key, sequence""",
        *_columns(streams),
    )
    events: list[Event] = []
    for row in rows:
        event = decode(
            Record(
                topic=row["topic"],
                partition=row["partition"],
                offset=row["broker_offset"],
                time=row["broker_time"],
                key=row["key"].encode(),
                headers=tuple(
                    (name.decode(), value)
                    for name, value in zip(row["header_names"], row["header_values"], strict=True)
                ),
                value=row["value"],
            )
        )
        # Only what decoded is ever held, so this can fail only if a contract was narrowed since: then it must
        # not be lost, and the error says which event it is.
        if not isinstance(event, Event):
            raise ValueError(f"held event at {row['topic']}/{row['partition']}@{row['broker_offset']}: {event.error}")
        events.append(event)
    return events


async def hold(connection: Connection, events: Sequence[Event]) -> None:
    """Keep events until the ones before them have come."""
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
                event.record.value or b"",
            )
            for event in events
        ],
    )


async def release(connection: Connection, events: Sequence[Event]) -> None:
    """Forget events that were held and are accepted now."""
    if not events:
        return
    await connection.execute(
        """
        delete from held_events h using unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
            as released (topic, source, key, sequence)
        where (h.topic, h.source, h.key, h.sequence) = (released.topic, released.source, released.key,
                                                        released.sequence)""",
        [event.stream.topic for event in events],
        [event.stream.source for event in events],
        [event.stream.key for event in events],
        [event.envelope.sequence for event in events],
    )


def _columns(streams: Collection[Stream]) -> tuple[list[str], list[str], list[str]]:
    ordered = list(streams)
    return [s.topic for s in ordered], [s.source for s in ordered], [s.key for s in ordered]
