"""Looking at, and erasing, the identity of whoever raised a concern or sent a report: with a reason, and logged."""

from services.intelligence.store import concerns, reporters, reports
from services.intelligence.store.reporters import Raised
from services.intelligence.views.reporters import ReporterAccess, ReporterErased, ReporterView
from shared.messaging.unit_of_work import UnitOfWork
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.problems import NotFound


async def see_reporter(work: UnitOfWork, caller: Caller, raised: Raised, body: ReporterAccess) -> Answer:
    """Who raised something. The look is logged whether or not anything is known."""
    await _require(work, raised)
    await _log(work, caller, raised, "read", body.reason)
    known = await reporters.read(work.connection, raised)
    return Answer(ReporterView(name=known[0] if known else None, contact=known[1] if known else None))


async def erase_reporter(work: UnitOfWork, caller: Caller, raised: Raised, body: ReporterAccess) -> Answer:
    """Forget who raised something, for good."""
    await _require(work, raised)
    await _log(work, caller, raised, "erased", body.reason)
    return Answer(ReporterErased(erased=await reporters.erase(work.connection, raised)))


async def _require(work: UnitOfWork, raised: Raised) -> None:
    if raised.item_id is not None and not await reports.exists(work.connection, raised.item_id):
        raise NotFound(f"There is no report {raised.item_id}.")
    if raised.concern_id is not None and await concerns.load_locked(work.connection, raised.concern_id) is None:
        raise NotFound(f"There is no concern {raised.concern_id}.")


async def _log(work: UnitOfWork, caller: Caller, raised: Raised, action: str, reason: str) -> None:
    await reporters.log_access(work.connection, raised, at=work.now, actor=caller.subject, action=action, reason=reason)
