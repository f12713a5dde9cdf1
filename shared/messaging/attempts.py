"""Attempts at records during which the process may end: each is counted, and committed, before it is made."""

from collections.abc import Sequence

from shared.messaging.records import Record
from shared.persistence.pool import Connection

#: A record that was tried so often without success, the process having ended each time, is set aside.
LIMIT = 3


async def count(connection: Connection, record: Record) -> int:
    """Count an attempt at a record that is about to be made; returns how many there were, with this one."""
    return await connection.fetchval(
        """
        insert into attempts as a (topic, partition, broker_offset, attempts) values ($1, $2, $3, 1)
        on conflict (topic, partition, broker_offset) do update set attempts = a.attempts + 1
        returning attempts""",
        record.topic,
        record.partition,
        record.offset,
    )


async def forget(connection: Connection, records: Sequence[Record]) -> None:
    """Forget attempts at records, in the transaction in which these are applied or set aside."""
    await connection.executemany(
        "delete from attempts where topic = $1 and partition = $2 and broker_offset = $3",
        [(record.topic, record.partition, record.offset) for record in records],
    )
