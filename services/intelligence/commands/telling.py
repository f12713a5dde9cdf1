"""Publishing what happened to a concern, and writing it into its story in the same breath."""

from uuid import UUID

from services.intelligence.domain.concern import Concern
from services.intelligence.domain.story import sentence
from services.intelligence.store.story import Chapter
from shared.contracts.fields import EventData
from shared.contracts.registry import by_model
from shared.messaging.unit_of_work import UnitOfWork


def tell(
    work: UnitOfWork,
    concern: Concern,
    data: EventData,
    *,
    causation_id: UUID | None = None,
    repeat: int | None = None,
) -> Chapter:
    """Emit an event about a concern; returns the chapter of its story that tells of it.

    ``causation_id`` and ``repeat`` are for what the clock brings about: see UnitOfWork.emit.
    """
    event_id = work.emit(
        data,
        key=concern.provider.ods_code,
        correlation_id=concern.id,
        causation_id=causation_id,
        repeat=repeat,
    )
    spec = by_model(type(data))
    return Chapter(
        concern_id=concern.id,
        event_id=event_id,
        type=spec.type,
        source=work.source,
        subject=str(getattr(data, spec.subject_field)),
        occurred_at=work.now,
        summary=sentence(data),
    )
