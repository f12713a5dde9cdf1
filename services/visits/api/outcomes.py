"""What the panels found."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from services.visits import queries
from services.visits.bodies import RecordOutcomeBody
from services.visits.commands.record_outcome import read_outcome
from services.visits.commands.record_outcome import record_outcome as record
from services.visits.views import OutcomeView
from shared.security.roles import Permission
from shared.web.callers import Reader
from shared.web.commands import Command, command, made_at
from shared.web.etags import Expected, etag
from shared.web.queries import Reading

router = APIRouter(tags=["outcomes"])

Recording = Annotated[Command, Depends(command(Permission.RECORD_OUTCOMES))]


@router.post(
    "/visits/{visit_id}/outcome", summary="Record a visit's outcome", status_code=201, response_model=OutcomeView
)
async def record_outcome(visit_id: UUID, command: Recording, expected: Expected, body: RecordOutcomeBody) -> Response:
    """Record, once and from the day of the visit on, what the whole panel agreed on.

    Every member of the panel must agree, the lay partner like anybody. Findings name a numbered standard; an
    immediate mandatory requirement is due five working days after the visit. ``If-Match`` is the visit's ETag.
    """
    return await command.run(
        lambda work: record(work, command.caller, visit_id, expected, body, command.pseudonym),
        again=lambda work, location: read_outcome(work, command.caller, made_at(location)),
    )


@router.get("/outcomes/{outcome_id}", summary="Read an outcome")
async def get_outcome(outcome_id: UUID, response: Response, connection: Reading, caller: Reader) -> OutcomeView:
    """An outcome with its findings. It is never changed. 404 if there is none of this id."""
    view = await queries.outcome(connection, outcome_id, names=queries.may_see_names(caller))
    response.headers["ETag"] = etag(1)
    return view
