"""The outbox as the relay sees it: what is to be sent next, what was sent, and which keys stand still."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import asyncpg
from asyncpg import Range

from shared.messaging.offsets import Partition
from shared.persistence.pool import Connection

Row = asyncpg.Record

#: Positions from the first to before the second.
Stretch = tuple[int, int]

#: How long the server lets the relay's connection stand idle, in seconds. It is the lease of the relay's lock: a
#: leader that is frozen, or whose machine is gone, says nothing for that long, and the server ends its connection.
LEASE_S = 3.0

#: How often a leader that waits for the broker says so on its connection, in seconds.
RENEW_S = 1.0

_SESSION = (
    # What a crash of the server undoes of the marks is sent twice, which positions drop.
    "set synchronous_commit = off",
    f"set idle_session_timeout = {LEASE_S * 1000:.0f}",
    # Every statement here looks rows up by their key, and tables grow from nothing to millions of rows meanwhile.
    "set enable_seqscan = off",
    "set plan_cache_mode = force_generic_plan",
)


async def prepare(connection: Connection) -> None:
    """Set a connection up for the relay."""
    await connection.execute(";".join(_SESSION))


async def renew(connection: Connection) -> None:
    """Say that the leader is alive. Raises what the database raises if the lock is lost."""
    await connection.execute("select")


async def has_letters_to_copy(connection: Connection) -> bool:
    """True if a dead letter is not in the topic of dead letters yet."""
    return await connection.fetchval("select exists (select from dead_letters where published_at is null)")


async def next_rows(connection: Connection, in_flight: Iterable[Stretch], limit: int) -> list[Row]:
    """The next unsent rows in order, leaving out those in flight and the keys that stand still.

    What a record is made of comes as the bytes it is sent as. ``stopped`` is true of a key that stood still and may
    be tried again. Not "after the last position read": a row with a lower position may be committed later than one
    with a higher, and a key that stood still must go on with its first row.
    """
    return await connection.fetch(
        """
        select u.position, o.topic, o.type, o.source, o.key,
               convert_to(o.key, 'UTF8') as key_bytes,
               convert_to(o.event_id::text, 'UTF8') as event_id,
               convert_to(o.subject, 'UTF8') as subject,
               convert_to(to_char(o.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'UTF8') as time,
               floor(date_part('epoch', o.time) * 1000)::bigint as time_ms,
               convert_to(o.sequence::text, 'UTF8') as sequence,
               convert_to(o.correlation_id::text, 'UTF8') as correlation_id,
               convert_to(o.causation_id::text, 'UTF8') as causation_id,
               convert_to(o.traceparent, 'UTF8') as traceparent,
               convert_to(o.data, 'UTF8') as data,
               s.retry_at is not null as stopped
        from outbox_unsent u
        -- Lateral with a limit: whatever the planner believes, the queue is walked and the rest looked up.
        cross join lateral (select * from outbox where outbox.position = u.position limit 1) o
        left join lateral (
            select retry_at from relay_stops where relay_stops.topic = o.topic and relay_stops.key = o.key limit 1
        ) s on true
        where not u.position <@ $1::int8multirange and (s.retry_at is null or s.retry_at <= now())
        order by u.position limit $2""",
        [Range(first, after, lower_inc=True, upper_inc=False) for first, after in in_flight],
        limit,
    )


def stretches(rows: Sequence[Row]) -> list[Stretch]:
    """The positions of rows, which must be in order, in few stretches that hold nothing else.

    A position missing here may be that of a row which is committed later.
    """
    positions: list[int] = [row["position"] for row in rows]
    found: list[Stretch] = []
    begin = 0
    for place in range(1, len(positions) + 1):
        if place == len(positions) or positions[place] != positions[place - 1] + 1:
            found.append((positions[begin], positions[place - 1] + 1))
            begin = place
    return found


async def mark_sent(
    connection: Connection, rows: Sequence[Row], cluster_id: str, acknowledged: Mapping[Partition, int]
) -> None:
    """Mark what the broker has, and how far it has acknowledged each partition, in one statement.

    Keys that stood still at one of these rows go on. ``acknowledged`` is the offset after the last record of each
    partition.
    """
    if any(row["stopped"] for row in rows):
        # First: cut off between the two, the row is sent again. The other way round its key would be said to stand
        # still for ever.
        await connection.execute(
            """
            delete from relay_stops where event_id in (
                select event_id from outbox where position = any ($1::bigint[])
            )""",
            [row["position"] for row in rows if row["stopped"]],
        )
    await connection.execute(
        """
        with marked as (delete from outbox_unsent where position = any ($1::bigint[]))
        insert into relay_acknowledged (topic, partition, cluster_id, next_offset)
        select topic, partition, $2, next_offset
        from unnest($3::text[], $4::int[], $5::bigint[]) as a (topic, partition, next_offset)
        on conflict (topic, partition) do update
        set cluster_id = excluded.cluster_id, next_offset = excluded.next_offset""",
        [row["position"] for row in rows],
        cluster_id,
        [topic for topic, _ in acknowledged],
        [number for _, number in acknowledged],
        list(acknowledged.values()),
    )


async def stop_key(connection: Connection, row: Row, error: BaseException, retry_after: timedelta) -> None:
    """Let a key stand still because one of its rows is refused."""
    await connection.execute(
        """
        insert into relay_stops as s (topic, key, event_id, error, retry_at)
        select topic, key, event_id, $2, now() + $3 from outbox where position = $1
        on conflict (topic, key) do update
        set event_id = excluded.event_id, error = excluded.error, attempts = s.attempts + 1,
            retry_at = excluded.retry_at""",
        row["position"],
        repr(error),
        retry_after,
    )
