"""Flags of survey results over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.intelligence import queries
from services.intelligence.queries import flags as answers
from services.intelligence.queries.flags import Wanted
from services.intelligence.store import flags
from services.intelligence.views.flags import FlagExplanation, FlagView, SeriesView
from shared.contracts.fields import Line, OdsCode
from shared.contracts.intelligence import SurveyFlag
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["flags"], dependencies=[Depends(allowed(Permission.READ))])

_cursor = Cursor[UUID](UUID)

ReportType = Annotated[Line, Query(description="Which report of which survey.")]


@router.get("/flags", summary="List flags")
async def list_flags(
    connection: Reading,
    provider: Annotated[OdsCode | None, Query(description="Only of this provider.")] = None,
    site: Annotated[OdsCode | None, Query(description="Only of this site.")] = None,
    report_type: Annotated[Line | None, Query(description="Only of this report of a survey.")] = None,
    specialty: Annotated[Line | None, Query(description="Only of this specialty.")] = None,
    indicator: Annotated[Line | None, Query(description="Only on this indicator.")] = None,
    year: Annotated[int | None, Query(ge=1900, le=2200, description="Only of this year.")] = None,
    flag: Annotated[SurveyFlag | None, Query(description="Only of this colour.")] = None,
    triple_red: Annotated[bool | None, Query(description="Only triple reds, or only others.")] = None,
    file_id: Annotated[
        int | None, Query(ge=1, le=2**62, description="Only those that this imported file gave or changed.")
    ] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[FlagView]:
    """How survey results of the register's organisations stand in their benchmark groups."""
    found = await flags.page(
        connection,
        provider=provider,
        site=site,
        report_type=report_type,
        specialty=specialty,
        indicator=indicator,
        year=year,
        flag=flag,
        triple_red=triple_red,
        file_id=file_id,
        after=_cursor.read(cursor),
        limit=limit + 1,
    )
    return _cursor.page(await answers.views(connection, found), limit, lambda view: view.id)


@router.get("/flags/{flag_id}", summary="Why a flag is so")
async def get_flag(connection: Reading, flag_id: UUID) -> FlagExplanation:
    """A flag with its numbers, its benchmark, the rule in sentences, and what it was before."""
    return await answers.explanation(connection, flag_id)


@router.get("/series", summary="A series as a control chart")
async def get_series(
    connection: Reading,
    provider: Annotated[OdsCode, Query(description="The provider.")],
    indicator: Annotated[Line, Query(description="The indicator.")],
    report_type: ReportType = "nts",
    specialty: Annotated[Line | None, Query(description="Only of this specialty.")] = None,
    site: Annotated[OdsCode | None, Query(description="Only of this site.")] = None,
) -> SeriesView:
    """A provider's results on one indicator year by year, with limits and special causes."""
    await queries.organisation(connection, provider)
    return await answers.series(connection, Wanted(provider, indicator, report_type, specialty, site))
