"""Taking a file of a source in, and saying what came of it."""

from pathlib import Path

from services.intelligence.commands import sources
from services.intelligence.views.imports import ImportReport, RowProblemView
from shared.imports.problems import FileRefused
from shared.imports.running import BeingTakenIn, Received, take_in
from shared.persistence import import_files
from shared.persistence.pool import Pool
from shared.security.callers import Caller
from shared.web.problems import Conflict, NotFound, Unprocessable

#: Problems that are in the report itself.
_SHOWN = 200


async def take_file(
    pool: Pool, caller: Caller, *, emitter: str, folder: Path | None, source: str, path: Path, name: str
) -> ImportReport:
    """Take in a file that was sent, or what is left of it. ``folder`` holds an office's own mappings.

    Raises NotFound for an unknown source, Unprocessable for a file that is none of it, Conflict while it is taken in.
    """
    known = sources.mappings(folder)
    if source not in known:
        raise NotFound(f"There is no such source; there are {', '.join(known)}.")
    received = Received(path, name, caller.subject)
    try:
        file, is_new = await take_in(pool, sources.source(known[source], caller.subject), received, emitter=emitter)
    except FileRefused as error:
        raise Unprocessable(f"This is no such file: {error}.", errors=[("body", str(error))]) from error
    except BeingTakenIn as error:
        raise Conflict(str(error)) from error
    async with pool.acquire() as connection:
        problems = await import_files.problems(connection, file.id, limit=_SHOWN) if file.refused else []
    good = file.added + file.updated + file.unchanged
    return ImportReport(
        file_id=file.id,
        added=file.added if is_new else 0,
        updated=file.updated if is_new else 0,
        unchanged=file.unchanged if is_new else good,
        refused=file.refused,
        problems=[RowProblemView.of(problem) for problem in problems],
    )
