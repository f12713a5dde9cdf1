"""Annual volumes over HTTP."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.intelligence.commands import volumes
from services.intelligence.domain.volumes import YearKind
from services.intelligence.queries.volumes import volumes_view
from services.intelligence.views.volumes import VolumesView
from shared.reference.office_day import office_day
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.queries import Remembering

router = APIRouter(tags=["answers"])


@router.get("/volumes", summary="Annual volumes", dependencies=[Depends(allowed(Permission.READ))])
async def get_volumes(
    connection: Remembering,
    year: Annotated[YearKind, Query(description="Count by financial or by training year.")] = YearKind.FINANCIAL,
) -> VolumesView:
    """How many concerns were managed, significant, closed and raised in each year that is over.

    No number under three is among them, and none can be worked out from them: not from both kinds of year together,
    nor from what was answered earlier.
    """
    now = datetime.now(UTC)
    published = await volumes.published(connection, now, office_day(now))
    return volumes_view(published, year)
