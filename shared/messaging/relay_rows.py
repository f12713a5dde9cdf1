# pyright: reportMissingTypeStubs=false
# The Kafka client is untyped.
"""The outbox as the relay sees it: what is to be sent next, what was sent, and which keys stand still."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
from aiokafka.structs import RecordMetadata

from shared.persistence.pool import Connection

Row = asyncpg.Record


async def next_rows(connection: Connection, in_flight: list[int], limit: int) -> list[Row]:
    """The next unsent rows in order, leaving out those in flight and the keys that stand still.

    Not "after the last position read": a row with a lower position may be committed later than one with a higher.
    """
    return await connection.fetch(
        """
        select position, event_id, type, source, subject, topic, key, sequence, time, correlation_id,
               causation_id, traceparent, data
        from outbox o
        where sent_at is null and position <> all ($1::bigint[])
          and not exists (
              select from relay_stops s where s.topic = o.topic and s.key = o.key and s.retry_at > now()
          )
        order by position limit $2""",
        in_flight,
        limit,
    )


async def mark_sent(connection: Connection, sent: Sequence[tuple[Row, RecordMetadata]]) -> None:
    """Mark what the broker has, and let the keys go on that one of these rows had stopped."""
    await connection.execute(
        """
        with marked as (
            update outbox o set sent_at = now(), partition = s.partition, broker_offset = s.broker_offset
            from unnest($1::bigint[], $2::int[], $3::bigint[]) as s (position, partition, broker_offset)
            where o.position = s.position
            returning o.event_id
        )
        delete from relay_stops where event_id in (select event_id from marked)""",
        [row["position"] for row, _ in sent],
        [metadata.partition for _, metadata in sent],
        [metadata.offset for _, metadata in sent],
    )


async def stop_key(connection: Connection, row: Row, error: BaseException, retry_after: timedelta) -> None:
    """Let a key stand still because the broker refused one of its rows."""
    event_id: UUID = row["event_id"]
    await connection.execute(
        """
        insert into relay_stops as s (topic, key, event_id, error, retry_at) values ($1, $2, $3, $4, now() + $5)
        on conflict (topic, key) do update
        set event_id = excluded.event_id, error = excluded.error, attempts = s.attempts + 1,
            retry_at = excluded.retry_at""",
        row["topic"],
        row["key"],
        event_id,
        repr(error),
        retry_after,
    )
