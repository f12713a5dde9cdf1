"""Parked streams: those whose next event could not be applied. It and all that follows wait; other streams go on.

Each is tried again with growing pauses. After the last attempt its head is a dead letter, and an operator decides.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.messaging import offsets, operator_actions
from shared.messaging.offsets import Partition
from shared.messaging.operator_actions import Operator
from shared.messaging.records import Stream
from shared.persistence.pool import Connection


class HeadIsDead(RuntimeError):
    """A stream cannot simply be tried again: its head is a dead letter. The message says which."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a parked event is tried, and how long the pauses are."""

    #: After so many attempts it is a dead letter.
    attempts: int = 10
    #: Pause after the first attempt; each further one is twice as long as the one before, up to the longest.
    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=5)

    def pause(self, attempts: int) -> timedelta:
        """How long to wait after so many attempts; random in its upper half, so that streams do not march in step."""
        doubled = min(self.first * 2 ** min(attempts - 1, 30), self.longest)
        return doubled * random.uniform(0.5, 1)


@dataclass(frozen=True, slots=True)
class ParkedStream:
    """A stream that stands still."""

    topic: str
    source: str
    key: str
    partition: int
    #: First number that waits.
    sequence: int
    #: The event that stands in the way; None if none does any more and what waits is being applied.
    event_id: UUID | None
    #: failed, breaks_contract, conflict; or backlog: nothing is wrong any more.
    reason: str
    error: str
    attempts: int
    parked_at: datetime
    #: When it is tried next; None: an operator must decide about the dead letter.
    retry_at: datetime | None
    dead_letter_id: int | None
    #: Events that wait, the head among them.
    waiting: int = 0

    @property
    def stream(self) -> Stream:
        """The stream."""
        return Stream(self.topic, self.source, self.key)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stream in which events are missing, while later ones have come and are held."""

    topic: str
    source: str
    key: str
    partition: int
    #: First and last number that is missing before the first one held.
    first_missing: int
    last_missing: int
    #: Events held behind it.
    waiting: int
    since: datetime

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


# What operators do ----------------------------------------------------------------------------------------------


async def list_parked(connection: Connection) -> list[ParkedStream]:
    """All parked streams, the one that has stood longest first."""
    rows = await connection.fetch(
        """
        select s.topic, s.source, s.key, s.partition, s.sequence, s.event_id, s.reason, s.error, s.attempts,
               s.parked_at, s.retry_at, s.dead_letter_id,
               (select count(*) from held_events h
                where h.topic = s.topic and h.source = s.source and h.key = s.key) as waiting
        from parked_streams s order by s.parked_at, s.topic, s.source, s.key"""
    )
    return [ParkedStream(**dict(row)) for row in rows]


async def list_gaps(connection: Connection) -> list[Gap]:
    """All streams in which an event is missing, the one that has waited longest first."""
    rows = await connection.fetch(
        """
        select h.topic, h.source, h.key, min(h.partition) as partition,
               coalesce(p.last_sequence, 0) + 1 as first_missing, min(h.sequence) - 1 as last_missing,
               count(*) as waiting, min(h.held_at) as since
        from held_events h
        left join positions p using (topic, source, key)
        left join parked_streams s using (topic, source, key)
        where s.topic is null
        group by h.topic, h.source, h.key, p.last_sequence
        order by since, h.topic, h.source, h.key"""
    )
    return [Gap(**dict(row)) for row in rows]


async def retry(connection: Connection, topic: str, source: str, key: str, operator: Operator) -> bool:
    """Have a parked stream tried at once, its attempts counted anew; returns False if it is not parked.

    Raises HeadIsDead if its head is a dead letter: that is redriven or discarded instead.
    """
    stream = Stream(topic, source, key)
    async with connection.transaction():
        parked = await find(connection, stream)
        if parked is None:
            return False
        # The fence of its partition, as for a batch: the running service must not move the stream meanwhile.
        await offsets.lock(connection, [(topic, parked.partition)])
        parked = await find(connection, stream)
        if parked is None:
            return False
        if parked.dead_letter_id is not None:
            raise HeadIsDead(
                f"number {parked.sequence} of this stream waits for a decision on dead letter {parked.dead_letter_id}: "
                f"use `qc dead-letters redrive {parked.dead_letter_id}` or `qc dead-letters discard`"
            )
        await try_now(connection, stream)
        await operator_actions.record(
            connection, operator, "parked.retried", stream.name, {"sequence": parked.sequence}
        )
        return True


# What the inbox does --------------------------------------------------------------------------------------------


async def find(connection: Connection, stream: Stream) -> ParkedStream | None:
    """A parked stream, or None if it is not parked."""
    row = await connection.fetchrow(
        "select * from parked_streams where topic = $1 and source = $2 and key = $3", *stream
    )
    return None if row is None else ParkedStream(**dict(row))


async def of_letter(connection: Connection, letter_id: int) -> ParkedStream | None:
    """The stream that waits for a decision on a dead letter, or None."""
    row = await connection.fetchrow("select * from parked_streams where dead_letter_id = $1", letter_id)
    return None if row is None else ParkedStream(**dict(row))


async def due(
    connection: Connection, partitions: Collection[Partition], now: datetime, limit: int
) -> list[ParkedStream]:
    """Streams of these partitions whose time to be tried has come, the one that has waited longest first."""
    rows = await connection.fetch(
        """
        select * from parked_streams
        where retry_at <= $1
            and (topic, partition) in (select * from unnest($2::text[], $3::int[]))
        order by retry_at limit $4""",
        now,
        [topic for topic, _ in partitions],
        [number for _, number in partitions],
        limit,
    )
    return [ParkedStream(**dict(row)) for row in rows]


async def park(connection: Connection, streams: Sequence[ParkedStream]) -> None:
    """Park streams, or change why and until when they are."""
    await connection.executemany(
        """
        insert into parked_streams as p (topic, source, key, partition, sequence, event_id, reason, error, attempts,
                                         parked_at, retry_at, dead_letter_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        on conflict (topic, source, key) do update
        set sequence = excluded.sequence, event_id = excluded.event_id, reason = excluded.reason,
            error = excluded.error, attempts = excluded.attempts, retry_at = excluded.retry_at,
            dead_letter_id = excluded.dead_letter_id,
            parked_at = case when p.sequence = excluded.sequence then p.parked_at else excluded.parked_at end""",
        [
            (
                s.topic,
                s.source,
                s.key,
                s.partition,
                s.sequence,
                s.event_id,
                s.reason,
                s.error,
                s.attempts,
                s.parked_at,
                s.retry_at,
                s.dead_letter_id,
            )
            for s in streams
        ],
    )


async def in_trial(connection: Connection, partitions: Collection[Partition]) -> list[Stream]:
    """The parked streams of partitions at whose heads attempts were counted."""
    rows = await connection.fetch(
        """
        select topic, source, key from parked_streams
        where attempts > 0 and retry_at is not null
            and (topic, partition) in (select * from unnest($1::text[], $2::int[]))""",
        [topic for topic, _ in partitions],
        [number for _, number in partitions],
    )
    return [Stream(*row) for row in rows]


async def count_attempt(connection: Connection, parked: ParkedStream, attempts: int, retry_at: datetime) -> bool:
    """Note, before an attempt, which one it is and when the next would be: so one that ends the process counts.

    Returns False, and notes nothing, if the stream is no longer as it was read.
    """
    counted = await connection.execute(
        """
        update parked_streams set attempts = $6, retry_at = $7
        where topic = $1 and source = $2 and key = $3 and sequence = $4 and attempts = $5 and retry_at = $8""",
        *parked.stream,
        parked.sequence,
        parked.attempts,
        attempts,
        retry_at,
        parked.retry_at,
    )
    return counted.endswith(" 1")


async def go_on(connection: Connection, stream: Stream, partition: int, sequence: int) -> None:
    """Have what waits from a number on applied, by the service that holds the partition."""
    await connection.execute(
        """
        insert into parked_streams as p (topic, source, key, partition, sequence, reason, error, attempts, retry_at)
        values ($1, $2, $3, $4, $5, 'backlog', '', 0, now())
        on conflict (topic, source, key) do update
        set sequence = excluded.sequence, event_id = null, reason = 'backlog', error = '', attempts = 0,
            retry_at = now(), dead_letter_id = null""",
        *stream,
        partition,
        sequence,
    )


async def try_now(connection: Connection, stream: Stream) -> None:
    """Have a parked stream tried at once, its attempts counted anew."""
    await connection.execute(
        """
        update parked_streams set attempts = 0, retry_at = now(), dead_letter_id = null
        where topic = $1 and source = $2 and key = $3""",
        *stream,
    )


async def wait_for_decision(connection: Connection, stream: Stream, reason: str, letter_id: int) -> None:
    """Try nothing of a parked stream before an operator has decided on a dead letter."""
    await connection.execute(
        """
        update parked_streams p set reason = $4, retry_at = null, dead_letter_id = d.id, event_id = d.event_id,
            error = d.error
        from dead_letters d where p.topic = $1 and p.source = $2 and p.key = $3 and d.id = $5""",
        *stream,
        reason,
        letter_id,
    )


async def unpark(connection: Connection, stream: Stream) -> None:
    """Let a stream be applied as it comes again."""
    await connection.execute("delete from parked_streams where topic = $1 and source = $2 and key = $3", *stream)
