"""Offsets in the database: where each partition is read on, and the fence between two members that hold it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from shared.messaging import positions
from shared.messaging.ordering import Position
from shared.messaging.records import Record, Stream
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


async def advance(
    connection: Connection, last_records: Mapping[Partition, Record], moved: Mapping[Stream, Position]
) -> None:
    """Move each partition past the last record taken in of it, and the positions of streams with it, in one statement.

    The partitions' rows must be locked by this transaction.
    """
    await connection.execute(
        f"""
        with moved as ({positions.SAVE})
        update consumer_offsets c set next_offset = n.next_offset, last_record = n.last_record
        from unnest($7::text[], $8::int[], $9::bigint[], $10::bytea[]) as n (topic, partition, next_offset, last_record)
        where c.topic = n.topic and c.partition = n.partition""",  # noqa: S608 a constant of ours
        *positions.columns(moved),
        [topic for topic, _ in last_records],
        [number for _, number in last_records],
        [record.offset + 1 for record in last_records.values()],
        [record.digest for record in last_records.values()],
    )


@dataclass(frozen=True, slots=True)
class Placed:
    """Where to read a partition from."""

    next_offset: int
    #: Digest of the record before it; None where it is not known.
    last_record: bytes | None
    #: The run that held the partition and did not let go of it, if there is one.
    left_by: UUID | None


async def place(
    connection: Connection, cluster_id: str, ends: Mapping[Partition, int], holder: UUID
) -> dict[Partition, Placed]:
    """Where to read each newly assigned partition from; from now on the run ``holder`` holds it.

    ``ends`` holds the end of each partition's log. A partition never read starts at 0. So does one on another
    cluster than before, and one whose log is now shorter than what was read of it: the log is a new one, and
    positions drop what was applied already.
    """
    rows = await connection.fetch(
        """
        insert into consumer_offsets as c (topic, partition, cluster_id, next_offset, holder)
        select topic, partition, $1, 0, $5 from unnest($2::text[], $3::int[]) as w (topic, partition)
        order by topic, partition
        on conflict (topic, partition) do update
        set cluster_id = excluded.cluster_id, holder = excluded.holder,
            (next_offset, last_record) = (
                select case when same then c.next_offset else 0 end, case when same then c.last_record end
                from (
                    select c.cluster_id = excluded.cluster_id and c.next_offset <= w.log_end as same
                    from unnest($2::text[], $3::int[], $4::bigint[]) as w (topic, partition, log_end)
                    where w.topic = c.topic and w.partition = c.partition
                ) log
            )
        returning topic, partition, next_offset, last_record, old.holder as left_by""",
        cluster_id,
        [topic for topic, _ in ends],
        [number for _, number in ends],
        list(ends.values()),
        holder,
    )
    return {
        (row["topic"], row["partition"]): Placed(
            row["next_offset"], row["last_record"], row["left_by"] if row["left_by"] != holder else None
        )
        for row in rows
    }


async def let_go(connection: Connection, holder: UUID, partitions: Collection[Partition] | None = None) -> None:
    """Note that a run no longer holds these partitions, or any, and that nothing of them is in its hands."""
    await connection.execute(
        """
        with mine as (
            select topic, partition from consumer_offsets
            where holder = $1
                and ($2::text[] is null or (topic, partition) in (select * from unnest($2::text[], $3::int[])))
            order by topic, partition for update
        )
        update consumer_offsets c set holder = null from mine
        where c.topic = mine.topic and c.partition = mine.partition""",
        holder,
        None if partitions is None else [topic for topic, _ in partitions],
        None if partitions is None else [number for _, number in partitions],
    )


async def taken_in(connection: Connection) -> dict[Partition, int]:
    """Next offset of every partition this service has ever been assigned."""
    rows = await connection.fetch("select topic, partition, next_offset from consumer_offsets")
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
