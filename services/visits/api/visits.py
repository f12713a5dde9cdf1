"""Visits and their panels."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.visits import queries
from services.visits.bodies import CancelVisitBody, ChangePanelBody, ScheduleVisitBody
from services.visits.commands import visits as commands
from services.visits.commands.schedule_visit import schedule_visit as schedule
from services.visits.domain.visit import VisitState
from services.visits.views import VisitSummary, VisitView
from shared.contracts.fields import Day, OdsCode
from shared.security.roles import Permission
from shared.web.callers import Reader
from shared.web.commands import Command, command, made_at
from shared.web.etags import Expected, etag
from shared.web.pages import CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(prefix="/visits", tags=["visits"])

Scheduling = Annotated[Command, Depends(command(Permission.SCHEDULE_VISITS))]


@router.post("", summary="Schedule a visit", status_code=201, response_model=VisitView)
async def schedule_visit(command: Scheduling, body: ScheduleVisitBody) -> Response:
    """Schedule a visit with its complete panel; others hear of it by the roles on the panel.

    The panel has exactly one chair and at least one lay partner; each person sits on it once, in a role they can
    take; nobody who is inactive or has a declared conflict of interest with the provider. All that is wrong is
    answered at once (422). A requirement that another visit has taken up meanwhile is a conflict (409).
    """
    return await command.run(
        lambda work: schedule(work, command.caller, body),
        again=lambda work, location: commands.read_visit(work, command.caller, made_at(location)),
    )


@router.get("", summary="List visits")
async def list_visits(
    connection: Reading,
    _: Reader,
    provider: Annotated[OdsCode | None, Query(description="Only visits to this provider.")] = None,
    state: Annotated[VisitState | None, Query(description="Only those in this state.")] = None,
    first: Annotated[Day | None, Query(alias="from", description="Only visits on this day or later.")] = None,
    last: Annotated[Day | None, Query(alias="to", description="Only visits on this day or earlier.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[VisitSummary]:
    """Visits by their day, the latest first."""
    return await queries.list_visits(
        connection, provider_code=provider, state=state, first=first, last=last, limit=limit, cursor=cursor
    )


@router.get("/{visit_id}", summary="Read a visit")
async def get_visit(visit_id: UUID, response: Response, connection: Reading, caller: Reader) -> VisitView:
    """A visit with its panel, what has become wrong with it, its outcome and its history.

    Names of panel members are answered to those who manage people; all others see roles. 404 if there is none.
    """
    view = await queries.visit(connection, visit_id, names=queries.may_see_names(caller))
    response.headers["ETag"] = etag(view.version)
    return view


@router.put("/{visit_id}/panel", summary="Change the panel", response_model=VisitView)
async def change_panel(visit_id: UUID, command: Scheduling, expected: Expected, body: ChangePanelBody) -> Response:
    """Give a scheduled visit another panel, under the same rules as when it was scheduled."""
    return await command.run(
        lambda work: commands.change_panel(work, command.caller, visit_id, expected, body),
        again=lambda work, _: commands.read_visit(work, command.caller, visit_id),
    )


@router.post("/{visit_id}/cancellation", summary="Cancel a visit", response_model=VisitView)
async def cancel_visit(visit_id: UUID, command: Scheduling, expected: Expected, body: CancelVisitBody) -> Response:
    """Cancel a scheduled visit. Its requirements are open again, unless their concerns no longer call for them."""
    return await command.run(
        lambda work: commands.cancel_visit(work, command.caller, visit_id, expected, body),
        again=lambda work, _: commands.read_visit(work, command.caller, visit_id),
    )
