"""Offsets in the database: where each partition is read on, and the fence between two members that hold it."""

from collections.abc import Collection, Mapping

from shared.persistence.pool import Connection

#: A partition: (topic, number).
Partition = tuple[str, int]


async def lock(connection: Connection, partitions: Collection[Partition]) -> dict[Partition, int]:
    """Next offset of each partition; their rows stay locked until the transaction ends.

    Rows are locked in one order, so two members never wait for each other.
    """
    rows = await connection.fetch(
        """
        select topic, partition, next_offset from consumer_offsets
        where (topic, partition) in (select * from unnest($1::text[], $2::int[]))
        order by topic, partition for update""",
        [topic for topic, _ in partitions],
        [number for _, number in partitions],
    )
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def advance(connection: Connection, next_offsets: Mapping[Partition, int]) -> None:
    """Store the next offset of each partition. Their rows must be locked by this transaction."""
    await connection.execute(
        """
        update consumer_offsets c set next_offset = n.next_offset
        from unnest($1::text[], $2::int[], $3::bigint[]) as n (topic, partition, next_offset)
        where c.topic = n.topic and c.partition = n.partition""",
        [topic for topic, _ in next_offsets],
        [number for _, number in next_offsets],
        list(next_offsets.values()),
    )


async def place(connection: Connection, cluster_id: str, ends: Mapping[Partition, int]) -> dict[Partition, int]:
    """Where to read each newly assigned partition from; ``ends`` holds the end of each partition's log.

    A partition never read starts at 0. So does one on another cluster than before, and one whose log is now
    shorter than what was read of it: the log is a new one, and positions drop what was applied already.
    """
    rows = await connection.fetch(
        """
        insert into consumer_offsets as c (topic, partition, cluster_id, next_offset)
        select topic, partition, $1, 0
        from unnest($2::text[], $3::int[], $4::bigint[]) as wanted (topic, partition, log_end)
        order by topic, partition
        on conflict (topic, partition) do update
        set cluster_id = excluded.cluster_id,
            next_offset = case
                when c.cluster_id <> excluded.cluster_id then 0
                when c.next_offset > (
                    select log_end from unnest($2::text[], $3::int[], $4::bigint[]) as w (topic, partition, log_end)
                    where w.topic = c.topic and w.partition = c.partition
                ) then 0
                else c.next_offset
            end
        returning topic, partition, next_offset""",
        cluster_id,
        [topic for topic, _ in ends],
        [number for _, number in ends],
        list(ends.values()),
    )
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def taken_in(connection: Connection) -> dict[Partition, int]:
    """Next offset of every partition this service has ever been assigned."""
    rows = await connection.fetch("select topic, partition, next_offset from consumer_offsets")
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
