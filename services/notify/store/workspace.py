"""What a batch of events needs to be taken in, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.notify.domain.happenings import Categories, concerns_of
from services.notify.domain.stakeholders import Stakeholder
from services.notify.store import categories, deliveries, directory, feed
from services.notify.store.deliveries import NewDelivery
from services.notify.store.feed import NewEntry
from shared.contracts.fields import EventData
from shared.messaging.consuming.handlers import Received
from shared.persistence import history
from shared.persistence.history import Change
from shared.persistence.pool import Connection

#: Any number of this service alone: makes batches commit one after the other, so that a reader who has seen an entry
#: of the feed will never find a new one before it, and two batches do not forget each other's categories.
_LOCK = 8_044_001


@dataclass(slots=True)
class Workspace:
    """What the reactions work on."""

    #: All active stakeholders.
    directory: list[Stakeholder]
    #: What is known of the concerns the batch touches.
    categories: Categories
    learnt: set[UUID] = field(default_factory=set[UUID])
    #: New entries of the feed, by the id of the event, in the order of the batch.
    entries: dict[UUID, NewEntry] = field(default_factory=dict[UUID, NewEntry])
    deliveries: list[NewDelivery] = field(default_factory=list[NewDelivery])


async def load(connection: Connection, events: Sequence[Received[EventData]]) -> Workspace:
    """Load what a batch touches, after the batches before it have committed."""
    await lock(connection)
    touched = {concern for event in events for concern in concerns_of(event.data)}
    return Workspace(
        directory=await directory.subscribers(connection), categories=await categories.load(connection, touched)
    )


async def lock(connection: Connection) -> None:
    """Let batches before this one commit first; the lock is held until the transaction ends."""
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)


async def save(connection: Connection, work: Workspace) -> None:
    """Save what a batch brought, one statement per table. An event that was received before changes nothing."""
    known = {concern: category for concern in work.learnt if (category := work.categories[concern]) is not None}
    await categories.save(connection, known)
    fresh = await feed.add(connection, list(work.entries.values()))
    queued = [delivery for delivery in work.deliveries if delivery.event_id in fresh]
    await deliveries.queue(connection, queued)
    await history.record(
        connection,
        [
            Change(
                aggregate="delivery",
                aggregate_id=str(delivery.id),
                version=1,
                at=delivery.created_at,
                actor=f"event:{delivery.event_id}",
                change="queued",
                detail={"stakeholder_id": str(delivery.stakeholder_id), "template": delivery.template},
            )
            for delivery in queued
        ],
    )
