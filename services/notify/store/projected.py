"""What notify knows from events alone: the feed and the categories of concerns, as they are and as they must be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.notify.domain.feed_places import Missing
from services.notify.domain.happenings import Categories, concerns_of
from services.notify.store import categories, feed, workspace
from services.notify.store.feed import NewEntry
from shared.contracts.fields import EventData
from shared.messaging.consuming.handlers import Received
from shared.persistence.pool import Connection


@dataclass(slots=True)
class Projected:
    """Categories as they are in the database, and what events tell."""

    before: Categories
    categories: Categories
    #: Entries of the feed by the id of the event, each stream's in order.
    entries: dict[UUID, NewEntry] = field(default_factory=dict[UUID, NewEntry])
    #: Of these, those that the feed lacks.
    missing: list[Missing] = field(default_factory=list[Missing])


async def load(connection: Connection, events: Sequence[Received[EventData]]) -> Projected:
    """What is known of the concerns that events touch, after the batches before have committed."""
    await workspace.lock(connection)
    known = await categories.load(connection, {concern for event in events for concern in concerns_of(event.data)})
    return Projected(known, dict(known))


async def put_right(connection: Connection, work: Projected) -> dict[str, int]:
    """Write what differs, and note what the feed lacks; returns how many rows of which table were wrong."""
    wrong = {concern: category for concern, category in work.categories.items() if work.before.get(concern) != category}
    await categories.save(connection, wrong)
    entries = list(work.entries.values())
    mended = await feed.mend(connection, entries)
    work.missing = await feed.missing(connection, entries)
    # All that the end needs; the rest of a large feed need not be kept.
    work.entries = {event_id: work.entries[event_id] for one in work.missing for event_id in one.events}
    return {"concern_categories": len(wrong), "feed": mended}


async def put_back(connection: Connection, works: Sequence[Projected]) -> dict[str, int]:
    """Put entries back that the feed lacks. All at once, so that none takes the only place that another one has."""
    await workspace.lock(connection)
    entries = {event_id: entry for work in works for event_id, entry in work.entries.items()}
    return {"feed": await feed.put_back(connection, [one for work in works for one in work.missing], entries)}
