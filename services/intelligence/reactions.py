"""What becomes of a concern elsewhere is written into its story."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.intelligence.domain.story import concerns_of, sentence
from services.intelligence.store import story
from services.intelligence.store.story import Chapter
from shared.contracts.fields import EventData
from shared.contracts.investments import InvestmentAdjusted, InvestmentDeclined, InvestmentProposed
from shared.contracts.notifications import NotificationDelivered, NotificationFailed
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.visits import VisitCancelled, VisitRequired, VisitScheduled
from shared.messaging.consuming.handlers import Received
from shared.messaging.consuming.projections import Projection
from shared.messaging.consuming.reactions import Reacting, Reactions
from shared.persistence.pool import Connection


@dataclass(slots=True)
class Workspace:
    """The concerns of this register that a batch is about, and what is added to their stories."""

    known: set[UUID]
    chapters: list[Chapter] = field(default_factory=list[Chapter])


async def _load(connection: Connection, events: Sequence[Received[EventData]]) -> Workspace:
    touched = {concern_id for event in events for concern_id in concerns_of(event.data)}
    return Workspace(await story.known(connection, touched))


async def _save(connection: Connection, work: Workspace) -> None:
    await story.add(connection, work.chapters)


async def _put_right(connection: Connection, work: Workspace) -> dict[str, int]:
    return {"concern_story": await story.put_right(connection, work.chapters)}


reactions = Reactions(load=_load, save=_save)

#: The chapters that other stages bring. Those of its own events are written by its commands.
projection = Projection(load=_load, save=_put_right)


def _react(work: Workspace, event: Received[EventData], reacting: Reacting) -> None:
    _tell(work, event)


def _tell_again(work: Workspace, event: Received[EventData], at: datetime) -> None:
    _tell(work, event)


def _tell(work: Workspace, event: Received[EventData]) -> None:
    # A concern of another register can stand beside ours in a visit; its story is told there.
    for concern_id in concerns_of(event.data):
        if concern_id in work.known:
            work.chapters.append(
                Chapter(
                    concern_id=concern_id,
                    event_id=event.id,
                    type=event.envelope.type,
                    source=event.envelope.source,
                    subject=event.envelope.subject,
                    occurred_at=event.envelope.time,
                    summary=sentence(event.data),
                )
            )


for _model in (
    VisitRequired,
    VisitScheduled,
    VisitCancelled,
    OutcomeRecorded,
    InvestmentProposed,
    InvestmentAdjusted,
    InvestmentDeclined,
    NotificationDelivered,
    NotificationFailed,
):
    reactions.on(_model)(_react)
    projection.on(_model)(_tell_again)
