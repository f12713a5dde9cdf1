"""Publishing what happened to a concern, and writing it into its story in the same breath."""

from services.intelligence.domain.concern import Concern
from services.intelligence.domain.story import sentence
from services.intelligence.store.story import Chapter
from shared.contracts.fields import EventData
from shared.contracts.registry import by_model
from shared.messaging.unit_of_work import UnitOfWork


def tell(work: UnitOfWork, concern: Concern, data: EventData) -> Chapter:
    """Emit an event about a concern; returns the chapter of its story that tells of it."""
    event_id = work.emit(data, key=concern.provider.ods_code, correlation_id=concern.id)
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
