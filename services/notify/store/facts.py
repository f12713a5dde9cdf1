"""What this stage's tables say, all of it, for whoever compares the stages: ids and states, never an address."""

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from services.notify.store.deliveries import State
from shared.persistence.pool import Connection


class DeliveryOf(NamedTuple):
    """A delivery: about which event, to whom, how it stands, and whether its stakeholder is active."""

    id: UUID
    event_id: UUID
    stakeholder_id: UUID
    state: State
    active: bool
    #: How often it failed for good, by its history.
    failed: int


@dataclass(frozen=True, slots=True)
class Facts:
    """The feed and the deliveries."""

    #: Events of the feed, in its order.
    feed: list[UUID]
    deliveries: list[DeliveryOf]


async def read(connection: Connection) -> Facts:
    """Read all facts of the stage. Call it in a repeatable-read transaction."""
    feed = await connection.fetch("select event_id from feed order by position")
    deliveries = await connection.fetch(
        """
        select d.id, d.event_id, d.stakeholder_id, d.state, s.active, coalesce(h.failed, 0) as failed
        from deliveries d join stakeholders s on s.id = d.stakeholder_id
        left join (
            select aggregate_id, count(*) as failed from history
            where aggregate = 'delivery' and change = 'failed' group by aggregate_id
        ) h on h.aggregate_id = d.id::text
        order by d.position"""
    )
    return Facts(
        feed=[row["event_id"] for row in feed],
        deliveries=[DeliveryOf(**{**row, "state": State(row["state"])}) for row in deliveries],
    )
