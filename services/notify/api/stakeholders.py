"""The directory over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from services.notify import commands, queries
from services.notify.domain.stakeholders import StakeholderKind
from services.notify.store import directory
from services.notify.views import (
    AddStakeholder,
    ChangeStakeholder,
    ImportReport,
    ImportStakeholder,
    Reference,
    StakeholderDetail,
    StakeholderView,
)
from shared.security.roles import Permission
from shared.web.callers import Reader
from shared.web.commands import Command, command
from shared.web.etags import Expected, etag
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["directory"])

_cursor = Cursor[UUID](UUID)

Managing = Annotated[Command, Depends(command(Permission.MANAGE_DIRECTORY))]
StakeholderId = Annotated[UUID, Path(description="The stakeholder.")]


@router.post("/stakeholders", summary="Add a stakeholder", status_code=201, response_model=StakeholderView)
async def add_stakeholder(body: AddStakeholder, command: Managing) -> Response:
    """Put a stakeholder into the directory; it is told of what happens from now on."""
    return await command.run(lambda work: commands.add_stakeholder(work, command.caller, body))


@router.post("/stakeholders/import", summary="Import stakeholders", response_model=ImportReport)
async def import_stakeholders(
    body: Annotated[list[ImportStakeholder], Field(min_length=1, max_length=2_000)], command: Managing
) -> Response:
    """Put stakeholders into the directory. One whose reference is there already is left as it is, so a second run
    changes nothing; if one is wrong, none is put in."""
    return await command.run(lambda work: commands.import_stakeholders(work, command.caller, body))


@router.get("/stakeholders", summary="List stakeholders")
async def list_stakeholders(
    connection: Reading,
    caller: Reader,
    kind: Annotated[StakeholderKind | None, Query(description="Only of this kind.")] = None,
    active: Annotated[bool | None, Query(description="Only those that are told, or are not.")] = None,
    reference: Annotated[Reference | None, Query(description="Only the one with this reference.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[StakeholderDetail]:
    """Stakeholders in the order they were added. Addresses and subscriptions only for those who manage them."""
    found = await directory.page(
        connection, kind=kind, active=active, reference=reference, after=_cursor.read(cursor), limit=limit + 1
    )
    whole = queries.sees_all(caller)
    return _cursor.page([StakeholderDetail.seen(entry, whole=whole) for entry in found], limit, lambda seen: seen.id)


@router.get("/stakeholders/{stakeholder_id}", summary="One stakeholder")
async def get_stakeholder(
    connection: Reading, response: Response, stakeholder_id: StakeholderId, caller: Reader
) -> StakeholderDetail:
    """An entry of the directory. Address and subscriptions only for those who manage them."""
    found = await queries.stakeholder(connection, caller, stakeholder_id)
    response.headers["ETag"] = etag(found.version)
    return found


@router.put("/stakeholders/{stakeholder_id}", summary="Change a stakeholder", response_model=StakeholderView)
async def change_stakeholder(
    stakeholder_id: StakeholderId,
    body: ChangeStakeholder,
    command: Managing,
    expected: Expected,
) -> Response:
    """Replace what an entry says. What is queued already goes to the new address."""
    return await command.run(
        lambda work: commands.change_stakeholder(work, command.caller, stakeholder_id, body, expected)
    )
