"""Looking at, and erasing, the identity of whoever raised a concern: each time with a reason, and logged."""

from uuid import UUID

from services.intelligence.store import concerns, reporters
from services.intelligence.views.reporters import ReporterAccess, ReporterErased, ReporterView
from shared.messaging.unit_of_work import UnitOfWork
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.problems import NotFound


async def see_reporter(work: UnitOfWork, caller: Caller, concern_id: UUID, body: ReporterAccess) -> Answer:
    """Who raised a concern. The look is logged whether or not anything is known."""
    await _require_concern(work, concern_id)
    await _log(work, caller, concern_id, "read", body.reason)
    known = await reporters.read(work.connection, concern_id)
    return Answer(ReporterView(name=known[0] if known else None, contact=known[1] if known else None))


async def erase_reporter(work: UnitOfWork, caller: Caller, concern_id: UUID, body: ReporterAccess) -> Answer:
    """Forget who raised a concern, for good."""
    await _require_concern(work, concern_id)
    await _log(work, caller, concern_id, "erased", body.reason)
    return Answer(ReporterErased(erased=await reporters.erase(work.connection, concern_id)))


async def _require_concern(work: UnitOfWork, concern_id: UUID) -> None:
    if await concerns.load_locked(work.connection, concern_id) is None:
        raise NotFound(f"There is no concern {concern_id}.")


async def _log(work: UnitOfWork, caller: Caller, concern_id: UUID, action: str, reason: str) -> None:
    await reporters.log_access(
        work.connection, concern_id, at=work.now, actor=caller.subject, action=action, reason=reason
    )
