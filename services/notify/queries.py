"""What the notify service answers."""

from uuid import UUID

from services.notify.store import deliveries, directory, feed
from services.notify.views import DeliveryView, FeedEntry, StakeholderDetail
from shared.persistence.pool import Connection
from shared.security.callers import Caller
from shared.security.roles import Permission
from shared.web.problems import NotFound


def sees_all(caller: Caller) -> bool:
    """Whether a caller may see addresses and subscriptions."""
    return caller.may(Permission.MANAGE_DIRECTORY)


async def stakeholder(connection: Connection, caller: Caller, stakeholder_id: UUID) -> StakeholderDetail:
    """An entry of the directory, as far as the caller may see it. Raises NotFound."""
    found = await directory.load(connection, stakeholder_id)
    if found is None:
        raise NotFound(f"There is no stakeholder {stakeholder_id} in the directory.")
    return StakeholderDetail.seen(found, whole=sees_all(caller))


async def delivery(connection: Connection, delivery_id: UUID) -> DeliveryView:
    """A delivery. Raises NotFound."""
    found = await deliveries.load(connection, delivery_id)
    if found is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return DeliveryView.of(found)


async def feed_entry(connection: Connection, event_id: UUID) -> FeedEntry:
    """The entry of an event. Raises NotFound."""
    found = await feed.load(connection, event_id)
    if found is None:
        raise NotFound(f"The feed has no event {event_id}.")
    return FeedEntry.of(found)
