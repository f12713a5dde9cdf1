"""What visits the concerns call for."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.visits import queries
from services.visits.domain.requirement import RequirementState
from services.visits.views import RequirementStory, RequirementView
from shared.contracts.fields import OdsCode
from shared.web.callers import Reader
from shared.web.etags import etag
from shared.web.pages import CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(prefix="/requirements", tags=["requirements"])


@router.get("", summary="List visit requirements")
async def list_requirements(
    connection: Reading,
    _: Reader,
    state: Annotated[RequirementState | None, Query(description="Only those in this state.")] = None,
    provider: Annotated[OdsCode | None, Query(description="Only those of this provider.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[RequirementView]:
    """Requirements by their latest date, the most pressing first."""
    return await queries.list_requirements(
        connection, state=state, provider_code=provider, limit=limit, cursor=cursor, now=datetime.now(UTC)
    )


@router.get("/{requirement_id}", summary="Read a visit requirement")
async def get_requirement(requirement_id: UUID, response: Response, connection: Reading, _: Reader) -> RequirementStory:
    """A requirement with its history. 404 if there is none of this id."""
    view = await queries.requirement(connection, requirement_id, datetime.now(UTC))
    response.headers["ETag"] = etag(view.version)
    return view
