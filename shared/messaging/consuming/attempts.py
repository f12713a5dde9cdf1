"""Attempts at records during which the process may end: each is counted, and committed, before it is made."""

from collections.abc import Mapping, Sequence

from shared.messaging.offsets import Partition
from shared.messaging.records import Record
from shared.persistence.pool import Connection

#: A record that was tried so often without success, the process having ended each time, is set aside.
LIMIT = 3


async def count(connection: Connection, record: Record) -> int:
    """Count an attempt at one record that is about to be made; returns how many there were, with this one."""
    return await connection.fetchval(
        """
        insert into attempts as a (topic, partition, broker_offset, up_to, attempts) values ($1, $2, $3, $3, 1)
        on conflict (topic, partition, broker_offset) do update set attempts = a.attempts + 1
        returning attempts""",
        record.topic,
        record.partition,
        record.offset,
    )


async def begin_portions(connection: Connection, firsts: Sequence[Record], ends: Mapping[Partition, int]) -> None:
    """Note that records are about to be tried together: of each partition the first, and up to which offset."""
    await connection.executemany(
        """
        insert into attempts (topic, partition, broker_offset, up_to, attempts) values ($1, $2, $3, $4, 1)
        on conflict (topic, partition, broker_offset) do update set up_to = excluded.up_to""",
        [(one.topic, one.partition, one.offset, ends[one.topic, one.partition]) for one in firsts],
    )


async def unfinished(connection: Connection, firsts: Sequence[Record]) -> dict[Partition, int]:
    """Of these records, those that were tried before, without success: up to which offset others with them."""
    rows = await connection.fetch(
        """
        select topic, partition, up_to from attempts
        join unnest($1::text[], $2::int[], $3::bigint[]) as f (topic, partition, broker_offset)
            using (topic, partition, broker_offset)""",
        [one.topic for one in firsts],
        [one.partition for one in firsts],
        [one.offset for one in firsts],
    )
    return {(row["topic"], row["partition"]): row["up_to"] for row in rows}


async def forget(connection: Connection, records: Sequence[Record]) -> None:
    """Forget attempts at records, in the transaction in which these are applied or set aside."""
    await connection.executemany(
        "delete from attempts where topic = $1 and partition = $2 and broker_offset = $3",
        [(record.topic, record.partition, record.offset) for record in records],
    )
