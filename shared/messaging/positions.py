"""Positions in the database: one statement to read and one to write, whatever the size of the batch."""

from collections.abc import Collection, Mapping
from typing import Any

from shared.messaging.ordering import Position, Standing
from shared.messaging.records import Stream
from shared.persistence.pool import Connection
from shared.persistence.statements import FEW, planned_once

#: Moves positions forward; its parameters, the first six, are ``columns``.
SAVE = """
    insert into positions as p (topic, source, key, last_sequence, last_event_id, baseline)
    select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::uuid[], $6::bigint[])
    on conflict (topic, source, key) do update
    set last_sequence = excluded.last_sequence, last_event_id = excluded.last_event_id,
        baseline = excluded.baseline, updated_at = now()"""


_LOAD = """
    select w.topic, w.source, w.key, p.last_sequence, p.last_event_id, p.baseline, s.sequence as parked_at, h.holds
    from unnest($1::text[], $2::text[], $3::text[]) as w (topic, source, key)
    left join positions p on p.topic = w.topic and p.source = w.source and p.key = w.key
    left join parked_streams s on s.topic = w.topic and s.source = w.source and s.key = w.key
    -- Ordered, so that it is looked up in the index for each stream: there may be very many held events of one, and
    -- then the planner believes that any row it meets is of the stream it looks for.
    left join lateral (
        select true as holds from held_events held
        where held.topic = w.topic and held.source = w.source and held.key = w.key order by held.sequence limit 1
    ) h on true"""

_LOAD_FEW = planned_once(_LOAD)


async def load(connection: Connection, streams: Collection[Stream]) -> dict[Stream, Standing]:
    """How each of these streams stands: its position, whether it is parked, and whether any event of it is held."""
    rows = await connection.fetch(_LOAD_FEW if len(streams) <= FEW else _LOAD, *_columns(streams))
    return {
        Stream(row["topic"], row["source"], row["key"]): Standing(
            None
            if row["last_sequence"] is None
            else Position(row["last_sequence"], row["last_event_id"], row["baseline"]),
            row["parked_at"],
            row["holds"] is not None,
        )
        for row in rows
    }


async def save(connection: Connection, positions: Mapping[Stream, Position]) -> None:
    """Move positions forward."""
    if not positions:
        return
    await connection.execute(SAVE, *columns(positions))


def columns(positions: Mapping[Stream, Position]) -> tuple[list[Any], ...]:
    """What ``SAVE`` takes."""
    moved = positions.values()
    return (
        *_columns(positions),
        [p.last_sequence for p in moved],
        [p.last_event_id for p in moved],
        [p.baseline for p in moved],
    )


def _columns(streams: Collection[Stream]) -> tuple[list[str], list[str], list[str]]:
    ordered = list(streams)
    return [s.topic for s in ordered], [s.source for s in ordered], [s.key for s in ordered]
