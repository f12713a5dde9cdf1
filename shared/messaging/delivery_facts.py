"""What one service's database says of delivery, all of it, as of one instant: for whoever compares it with others."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.messaging.records import Stream
from shared.persistence.pool import Connection

#: A service's own events are numbered by topic and key.
Numbered = tuple[str, str]


class SavedEvent(NamedTuple):
    """A row of the outbox."""

    id: UUID
    source: str
    type: str
    subject: str
    topic: str
    key: str
    sequence: int
    causation_id: UUID | None
    sent: bool

    @property
    def stream(self) -> Stream:
        """The stream it is numbered in."""
        return Stream(self.topic, self.source, self.key)


class Accepted(NamedTuple):
    """How far a stream was taken in."""

    last_sequence: int
    last_event_id: UUID
    baseline: int | None


class Waiting(NamedTuple):
    """An event held, or the head of a parked stream; ``why`` is `held`, or the reason for which it was parked."""

    stream: Stream
    sequence: int
    #: None if nothing stands in the way any more and what waits is being applied.
    event_id: UUID | None
    why: str


class Stop(NamedTuple):
    """A key that stands still because the broker refuses an event of it."""

    topic: str
    key: str
    event_id: UUID
    error: str
    attempts: int
    retry_at: datetime


class Letter(NamedTuple):
    """A dead letter; ``event_id`` is None where the envelope could not be read."""

    id: int
    topic: str
    partition: int
    offset: int
    event_id: UUID | None
    reason: str
    status: str
    published: bool


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """Outgoing and incoming delivery as one service's database has it."""

    #: Last number given, by topic and key.
    counters: dict[Numbered, int]
    #: Rows of the outbox, in the order of sending. Rows sent long ago are pruned.
    saved: list[SavedEvent]
    #: Event that the broker refused, by topic and key.
    relay_stops: dict[Numbered, UUID]
    #: Why the service may not emit, or None.
    fence: str | None
    positions: dict[Stream, Accepted]
    held: list[Waiting]
    parked: list[Waiting]
    letters: list[Letter]
    #: (aggregate, its id, the actor) of changes that one event made more than once to one aggregate.
    changed_twice: list[tuple[str, str, str]]
    #: (aggregate, its id) of aggregates whose history leaves out a version.
    versions_missing: list[tuple[str, str]]


async def read(connection: Connection) -> DeliveryFacts:
    """Read all facts. Call it in a repeatable-read transaction, so that they belong together."""
    counters = await connection.fetch("select topic, key, last_sequence from outbox_counters")
    saved = await connection.fetch(
        """
        select event_id, source, type, subject, topic, key, sequence, causation_id, u.position is null as sent
        from outbox o left join outbox_unsent u using (position) order by o.position"""
    )
    positions = await connection.fetch(
        "select topic, source, key, last_sequence, last_event_id, baseline from positions"
    )
    held = await connection.fetch(
        "select topic, source, key, sequence, event_id from held_events order by topic, source, key, sequence"
    )
    parked = await connection.fetch("select topic, source, key, sequence, event_id, reason from parked_streams")
    letters = await connection.fetch(
        """
        select id, topic, partition, broker_offset, event_id, reason, status, published_at is not null as published
        from dead_letters order by id"""
    )
    twice = await connection.fetch(
        """
        select aggregate, aggregate_id, actor from history where actor like 'event:%'
        group by aggregate, aggregate_id, actor having count(*) > 1 order by 1, 2, 3"""
    )
    missing = await connection.fetch(
        """
        select aggregate, aggregate_id from history
        group by aggregate, aggregate_id having count(*) <> max(version) or min(version) <> 1 order by 1, 2"""
    )
    return DeliveryFacts(
        counters={(row["topic"], row["key"]): row["last_sequence"] for row in counters},
        saved=[SavedEvent(*row) for row in saved],
        relay_stops={(stop.topic, stop.key): stop.event_id for stop in await stops(connection)},
        fence=await connection.fetchval("select reason from outbox_fence"),
        positions={
            Stream(row["topic"], row["source"], row["key"]): Accepted(
                row["last_sequence"], row["last_event_id"], row["baseline"]
            )
            for row in positions
        },
        held=[_waiting(row, "held") for row in held],
        parked=[_waiting(row, row["reason"]) for row in parked],
        letters=[Letter(*row) for row in letters],
        changed_twice=[tuple(row) for row in twice],
        versions_missing=[tuple(row) for row in missing],
    )


async def stops(connection: Connection) -> list[Stop]:
    """Keys that stand still because the broker refuses an event of theirs, the longest first."""
    rows = await connection.fetch(
        "select topic, key, event_id, error, attempts, retry_at from relay_stops order by stopped_at, topic, key"
    )
    return [Stop(*row) for row in rows]


def _waiting(row: asyncpg.Record, why: str) -> Waiting:
    return Waiting(Stream(row["topic"], row["source"], row["key"]), row["sequence"], row["event_id"], why)
