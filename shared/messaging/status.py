"""How delivery stands in one service's database: what is unsent, held, parked, stopped or dead."""

from dataclasses import asdict, dataclass

from shared.observability import metrics
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """A snapshot. Ages are in seconds; 0 if there is nothing to be old."""

    outbox_depth: int
    outbox_oldest_s: float
    outbox_fenced: bool
    events_published: int
    relay_stopped_keys: int
    held_events: int
    held_oldest_s: float
    parked_streams: int
    parked_events: int
    parked_oldest_s: float
    #: On which nobody has decided.
    dead_letters: int
    dead_letters_unpublished: int

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


async def read(connection: Connection) -> DeliveryStatus:
    """Read the status, in one statement."""
    row = await connection.fetchrow(
        """
        select
            (select count(*) from outbox_unsent) as outbox_depth,
            coalesce(extract(epoch from now() - (
                select saved_at from outbox where position = (select min(position) from outbox_unsent)
            )), 0)::float8 as outbox_oldest_s,
            exists (select from outbox_fence) as outbox_fenced,
            (select coalesce(sum(last_sequence), 0) from outbox_counters)::bigint
                - (select count(*) from outbox_unsent) as events_published,
            (select count(*) from relay_stops) as relay_stopped_keys,
            held.events as held_events,
            held.oldest_s as held_oldest_s,
            (select count(*) from parked_streams where reason <> 'backlog') as parked_streams,
            held.parked_events,
            coalesce(extract(epoch from now() - (
                select min(parked_at) from parked_streams where reason <> 'backlog'
            )), 0)::float8 as parked_oldest_s,
            (select count(*) from dead_letters where status = 'dead') as dead_letters,
            (select count(*) from dead_letters where published_at is null) as dead_letters_unpublished
        from (
            select count(*) filter (where p.topic is null) as events,
                   count(*) filter (where p.topic is not null) as parked_events,
                   coalesce(extract(epoch from now() - min(h.held_at) filter (where p.topic is null)), 0)::float8
                       as oldest_s
            from held_events h left join parked_streams p using (topic, source, key)
        ) held"""
    )
    assert row is not None  # an aggregate always gives one row
    return DeliveryStatus(**dict(row))


def observe(status: DeliveryStatus) -> None:
    """Show a snapshot as metrics."""
    metrics.OUTBOX_DEPTH.set(status.outbox_depth)
    metrics.OUTBOX_OLDEST.set(status.outbox_oldest_s)
    metrics.OUTBOX_FENCED.set(status.outbox_fenced)
    metrics.RELAY_STOPPED_KEYS.set(status.relay_stopped_keys)
    metrics.HELD_EVENTS.set(status.held_events)
    metrics.HELD_OLDEST.set(status.held_oldest_s)
    metrics.PARKED_STREAMS.set(status.parked_streams)
    metrics.PARKED_EVENTS.set(status.parked_events)
    metrics.PARKED_OLDEST.set(status.parked_oldest_s)
    metrics.DEAD_LETTERS.set(status.dead_letters)
    metrics.DEAD_LETTERS_UNPUBLISHED.set(status.dead_letters_unpublished)
