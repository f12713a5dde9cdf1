"""Concerns over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from services.intelligence import queries
from services.intelligence.api.searching import Searching
from services.intelligence.commands import concerns as commands
from services.intelligence.commands import reporters
from services.intelligence.store import concerns
from services.intelligence.store.reporters import Raised
from services.intelligence.views.concerns import (
    AssessConcern,
    CloseConcern,
    ConcernSummary,
    ConcernView,
    CorrectConcern,
    LinkItems,
    MergeConcern,
    RaiseConcern,
    RateConcern,
    ReopenConcern,
)
from services.intelligence.views.reporters import ReporterAccess, ReporterErased, ReporterView
from shared.security.roles import Permission
from shared.web.callers import Reader, allowed
from shared.web.commands import Command, command
from shared.web.etags import Expected, etag
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["concerns"])

_cursor = Cursor[UUID](UUID)

Managing = Annotated[Command, Depends(command(Permission.MANAGE_CONCERNS))]
Confirming = Annotated[Command, Depends(command(Permission.CONFIRM_CATEGORY))]
SeeingReporter = Annotated[Command, Depends(command(Permission.SEE_REPORTER))]


@router.post("/concerns", summary="Raise a concern", status_code=201, response_model=ConcernView)
async def raise_concern(body: RaiseConcern, command: Managing) -> Response:
    """Put a concern on the register. `concern.raised` follows; who raised it is in no event."""
    return await command.run(lambda work: commands.raise_concern(work, command.caller, body))


@router.get("/concerns", summary="List concerns", dependencies=[Depends(allowed(Permission.READ))])
async def list_concerns(
    connection: Reading,
    search: Searching,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ConcernSummary]:
    """Concerns in the order they came onto the register: all, or those of a scope."""
    found = await concerns.page(connection, search, after=_cursor.read(cursor), limit=limit + 1)
    return _cursor.page([queries.summary(concern) for concern in found], limit, lambda concern: concern.id)


@router.get("/concerns/{concern_id}", summary="The whole story of a concern")
async def get_concern(connection: Reading, caller: Reader, concern_id: UUID, response: Response) -> ConcernView:
    """A concern, its ratings, what it rests on, and every event about it from all four services, with its id.

    The items it rests on can be what one person said: without the permission `record_intelligence` there are none.
    """
    found = await queries.concern(connection, concern_id)
    if not caller.may(Permission.RECORD_INTELLIGENCE):
        found.items.clear()
    response.headers["ETag"] = etag(found.version)
    return found


@router.post("/concerns/{concern_id}/items", summary="Link intelligence", response_model=ConcernView)
async def link_items(concern_id: UUID, body: LinkItems, command: Managing, expected: Expected) -> Response:
    """Let a concern rest on more items of intelligence about the same provider."""
    return await command.run(lambda work: commands.link_items(work, command.caller, concern_id, expected, body))


@router.post("/concerns/{concern_id}/assessments", summary="Assess the risk", response_model=ConcernView)
async def assess_concern(concern_id: UUID, body: AssessConcern, command: Managing, expected: Expected) -> Response:
    """Note impact and likelihood. The score suggests a category; nothing follows before a person confirms one."""
    return await command.run(lambda work: commands.assess_concern(work, command.caller, concern_id, expected, body))


@router.post("/concerns/{concern_id}/ratings", summary="Confirm a category", response_model=ConcernView)
async def rate_concern(concern_id: UUID, body: RateConcern, command: Confirming, expected: Expected) -> Response:
    """Confirm a category with its rationale; it may differ from the suggested one. `concern.rated` follows."""
    return await command.run(lambda work: commands.rate_concern(work, command.caller, concern_id, expected, body))


@router.post("/concerns/{concern_id}/correction", summary="Correct the scope", response_model=ConcernView)
async def correct_concern(concern_id: UUID, body: CorrectConcern, command: Managing, expected: Expected) -> Response:
    """Put right where an open concern lies. `concern.corrected` follows."""
    return await command.run(lambda work: commands.correct_concern(work, command.caller, concern_id, expected, body))


@router.post("/concerns/{concern_id}/merger", summary="Merge another concern into it", response_model=ConcernView)
async def merge_concern(concern_id: UUID, body: MergeConcern, command: Confirming, expected: Expected) -> Response:
    """Let this concern go on for another one about the same provider, which is closed.

    `concern.closed` about the other one and `concern.merged` about this one follow.
    """
    return await command.run(lambda work: commands.merge_concern(work, command.caller, concern_id, expected, body))


@router.post("/concerns/{concern_id}/closure", summary="Close a concern", response_model=ConcernView)
async def close_concern(concern_id: UUID, body: CloseConcern, command: Confirming, expected: Expected) -> Response:
    """Close a concern on this office's register. `concern.closed` follows."""
    return await command.run(lambda work: commands.close_concern(work, command.caller, concern_id, expected, body))


@router.post("/concerns/{concern_id}/reopening", summary="Reopen a concern", response_model=ConcernView)
async def reopen_concern(concern_id: UUID, body: ReopenConcern, command: Confirming, expected: Expected) -> Response:
    """Open a closed concern again. `concern.reopened` follows."""
    return await command.run(lambda work: commands.reopen_concern(work, command.caller, concern_id, expected, body))


@router.post("/concerns/{concern_id}/reporter/access", summary="See who raised it", response_model=ReporterView)
async def see_reporter(concern_id: UUID, body: ReporterAccess, command: SeeingReporter) -> Response:
    """Who raised a concern. Each look is logged with its reason, so this is a command, not a query."""
    return await command.run(
        lambda work: reporters.see_reporter(work, command.caller, Raised(concern_id), body),
        again=lambda work, _: reporters.see_reporter(work, command.caller, Raised(concern_id), body),
    )


@router.post("/concerns/{concern_id}/reporter/erasure", summary="Erase who raised it", response_model=ReporterErased)
async def erase_reporter(concern_id: UUID, body: ReporterAccess, command: SeeingReporter) -> Response:
    """Forget for good who raised a concern. The erasure is logged; the concern stays."""
    return await command.run(lambda work: reporters.erase_reporter(work, command.caller, Raised(concern_id), body))
