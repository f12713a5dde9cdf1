"""Files of all sources over HTTP: sent, followed, and what was wrong with them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from services.intelligence.commands import sources, taking_in
from services.intelligence.settings import Settings
from services.intelligence.views.imports import ImportFileView, ImportReport, RowProblemView, SourceView
from shared.contracts.fields import Line
from shared.persistence import import_files
from shared.security.callers import Caller
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.commands import host_of, pool_of
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.problems import NotFound
from shared.web.queries import Reading
from shared.web.uploads import uploaded

router = APIRouter(tags=["imports"])

#: How many rows a file had can be how many people had something to say.
_SENDING = [Depends(allowed(Permission.IMPORT_REGISTER))]
Sending = Annotated[Caller, Depends(allowed(Permission.IMPORT_REGISTER))]
SourceName = Annotated[str, Path(max_length=40, description="A source: see `/sources`.", examples=["nts"])]
FileId = Annotated[int, Path(ge=1, le=2**62, description="Number of a file.")]

_Number = Annotated[int, Field(strict=True, ge=0, le=2**62)]
#: As the database holds them: without the one character that it has not.
_Words = Annotated[str, Field(pattern=r"^[^\x00]*$")]
_files = Cursor[int](_Number)
_problems = Cursor[tuple[int, str, str]](tuple[_Number, _Words, _Words])

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": _BINARY,
            "application/jsonl": {"schema": {"type": "string"}},
        },
    }
}


def _settings(request: Request) -> Settings:
    settings = host_of(request).settings
    assert isinstance(settings, Settings)
    return settings


@router.get("/sources", summary="List sources", dependencies=[Depends(allowed(Permission.READ))])
async def list_sources(request: Request) -> list[SourceView]:
    """The sources whose files are taken, and what their columns may be called."""
    known = sources.mappings(_settings(request).sources_folder)
    return [
        SourceView(source=name, title=mapping.title, takes=mapping.takes, columns=mapping.columns)
        for name, mapping in known.items()
    ]


@router.post("/imports/{source}", summary="Import a file", openapi_extra=_FILE)
async def import_file(
    request: Request,
    caller: Sending,
    source: SourceName,
    name: Annotated[Line | None, Query(description="What the file is called; for people.")] = None,
) -> ImportReport:
    """Take in a file: CSV, an .xlsx workbook or JSON Lines, told apart by what is in it.

    Good rows go in, bad ones are reported. It is known by its content: sent again it changes nothing, and goes on where
    it was broken off; rows that were refused are tried again where that can help. An Idempotency-Key is not needed.
    """
    async with uploaded(request) as path:
        return await taking_in.take_file(
            pool_of(request),
            caller,
            emitter=host_of(request).source,
            folder=_settings(request).sources_folder,
            source=source,
            path=path,
            name=name or source,
        )


@router.get("/import-files", summary="List imported files", dependencies=_SENDING)
async def list_files(
    connection: Reading,
    source: Annotated[Line | None, Query(description="Only of this source.")] = None,
    digest: Annotated[
        str | None, Query(pattern="^[0-9a-f]{64}$", description="Only of this content: SHA-256 in hexadecimal.")
    ] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ImportFileView]:
    """Files in the order they were first sent, with how far each is."""
    found = await import_files.page(
        connection,
        source=source,
        digest=bytes.fromhex(digest) if digest else None,
        after=_files.read(cursor),
        limit=limit + 1,
    )
    return _files.page([ImportFileView.of(file) for file in found], limit, lambda file: file.id)


@router.get("/import-files/{file_id}", summary="One imported file", dependencies=_SENDING)
async def get_file(connection: Reading, file_id: FileId) -> ImportFileView:
    """A file, and how far it is."""
    found = await import_files.load(connection, file_id)
    if found is None:
        raise NotFound(f"There is no imported file {file_id}.")
    return ImportFileView.of(found)


@router.get(
    "/import-files/{file_id}/problems",
    summary="What was wrong with a file",
    dependencies=_SENDING,
)
async def list_problems(
    connection: Reading, file_id: FileId, limit: Limit = 200, cursor: CursorText = None
) -> Page[RowProblemView]:
    """Rows that were not taken, by line, with column and reason."""
    found = await import_files.problems(connection, file_id, after=_problems.read(cursor), limit=limit + 1)
    return _problems.page(
        [RowProblemView.of(problem) for problem in found], limit, lambda one: (one.line, one.column, one.reason)
    )
