"""Surveys that were broken off and that nobody sends again."""

from datetime import timedelta

from services.intelligence.store import surveys
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history, import_files
from shared.persistence.history import Change
from shared.service.schedule import Job

#: How long after its beginning a file may still be gone on with.
PATIENCE = timedelta(days=7)

#: How the history names what no person did.
_ACTOR = "service:intelligence"

_AT_ONCE = 100


async def give_up_abandoned(work: UnitOfWork) -> bool:
    """Remove the rows of one survey that was never finished, and forget its file; True if there was one.

    They count for nothing, take room, and are read past by every statement about the same years. Sent later, the file
    begins anew. What is being taken in just now is left alone.
    """
    connection, after = work.connection, 0
    while found := await import_files.unfinished(
        connection, begun_before=work.now - PATIENCE, after=after, limit=_AT_ONCE
    ):
        for file in found:
            if await surveys.is_survey(connection, file.id) and await import_files.hold(connection, file.digest):
                # Looked at again: it may have been finished before it was held.
                now = await import_files.load(connection, file.id)
                if now is None or now.finished_at is not None:
                    continue
                await surveys.remove(connection, file.id)
                await import_files.give_up(connection, file.id)
                detail = {"source": file.source, "rows": now.rows_read}
                change = Change("import", str(file.id), now.passes, work.now, _ACTOR, "given up", None, detail)
                await history.record(connection, [change])
                return True
        after = found[-1].id
    return False


JOB = Job("abandoned surveys", timedelta(days=1), give_up_abandoned)
