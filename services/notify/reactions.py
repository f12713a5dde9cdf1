"""What others may know of goes into the feed, and an e-mail is queued for each stakeholder who subscribes to it."""

from datetime import datetime

from services.notify import templating
from services.notify.domain.happenings import happening, is_taken_over, learn
from services.notify.domain.matching import recipients
from services.notify.domain.redaction import for_partners
from services.notify.domain.stakeholders import EventName
from services.notify.store import projected, workspace
from services.notify.store.deliveries import NewDelivery
from services.notify.store.feed import NewEntry
from services.notify.store.projected import Projected
from services.notify.store.workspace import Workspace
from shared.contracts.concerns import ConcernDismissed, ConcernProposed, ConcernRaised
from shared.contracts.fields import EventData
from shared.contracts.registry import EVENTS, Topic
from shared.messaging.consuming.handlers import Received
from shared.messaging.consuming.projections import Projection
from shared.messaging.consuming.reactions import Reacting, Reactions

reactions = Reactions(load=workspace.load, save=workspace.save)


def _hear(work: Workspace, event: Received[EventData], reacting: Reacting) -> None:
    if event.id in work.entries:
        return
    work.learnt |= learn(event.data, work.categories)
    told = happening(event.data, event.envelope.key, work.categories)
    work.entries[event.id] = _entry(event, told.name, reacting.now)
    if is_taken_over(event.data):
        return
    work.deliveries += [
        NewDelivery(
            id=reacting.new_id(f"delivery to {stakeholder.id}"),
            event_id=event.id,
            stakeholder_id=stakeholder.id,
            template=templating.newest(told.name),
            created_at=reacting.now,
        )
        for stakeholder in recipients(work.directory, told)
    ]


def _entry(event: Received[EventData], name: EventName, received_at: datetime) -> NewEntry:
    envelope = event.envelope
    return NewEntry(
        event_id=event.id,
        name=name,
        type=envelope.type,
        source=envelope.source,
        subject=envelope.subject,
        key=envelope.key,
        time=envelope.time,
        correlation_id=envelope.correlationid,
        causation_id=envelope.causationid,
        traceparent=envelope.traceparent,
        data=for_partners(event.data),
        received_at=received_at,
    )


#: The feed, and what is known of concerns. Deliveries are no projection: nobody is told a second time.
projection = Projection(load=projected.load, save=projected.put_right, finish=projected.put_back)


def _hear_again(work: Projected, event: Received[EventData], at: datetime) -> None:
    if isinstance(event.data, ConcernRaised):
        # All that is known of its category follows from here on.
        work.categories[event.data.concern_id] = None
    learn(event.data, work.categories)
    work.entries[event.id] = _entry(event, happening(event.data, event.envelope.key, {}).name, at)


#: Nobody is told of what no person has decided to be a concern; not even the feed, which partners read.
_UNDECIDED = (ConcernProposed, ConcernDismissed)

# Its own events tell of what it did itself, and telling of them would never end.
for _spec in EVENTS:
    if _spec.topic is not Topic.NOTIFICATIONS and _spec.model not in _UNDECIDED:
        reactions.on(_spec.model)(_hear)
        projection.on(_spec.model)(_hear_again)
