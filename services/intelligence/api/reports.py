"""The form of learners and educators over HTTP, and their reports as the quality team reads them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.intelligence.commands import reporters
from services.intelligence.commands import reports as commands
from services.intelligence.queries import reports as queries
from services.intelligence.store import reports
from services.intelligence.store.reporters import Raised
from services.intelligence.views.reporters import ReporterAccess, ReporterErased, ReporterView
from services.intelligence.views.reports import ReportReceipt, ReportView, SendReport
from shared.contracts.fields import OdsCode
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.commands import Command, command
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["reports"])

_cursor = Cursor[UUID](UUID)

#: Words of learners and educators are for whoever manages concerns.
_MANAGING = [Depends(allowed(Permission.MANAGE_CONCERNS))]
Reporting = Annotated[Command, Depends(command(Permission.SEND_REPORT))]
SeeingReporter = Annotated[Command, Depends(command(Permission.SEE_REPORTER))]


@router.post("/reports", summary="Send a report", status_code=201, response_model=ReportReceipt)
async def send_report(body: SendReport, command: Reporting) -> Response:
    """What one learner or educator has to say. If somebody is at risk now, a concern is raised without waiting."""
    return await command.run(lambda work: commands.send_report(work, command.caller, body))


@router.get("/reports", summary="List reports", dependencies=_MANAGING)
async def list_reports(
    connection: Reading,
    provider: Annotated[OdsCode | None, Query(description="Only about this provider.")] = None,
    immediate: Annotated[bool | None, Query(description="Only those that could not wait, or only the others.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ReportView]:
    """Reports in the order they were received."""
    found = await reports.page(
        connection, provider=provider, immediate=immediate, after=_cursor.read(cursor), limit=limit + 1
    )
    return _cursor.page([queries.view(report) for report in found], limit, lambda report: report.id)


@router.get("/reports/{report_id}", summary="One report", dependencies=_MANAGING)
async def get_report(connection: Reading, report_id: UUID) -> ReportView:
    """A report in the words of who sent it."""
    return await queries.report(connection, report_id)


@router.post("/reports/{report_id}/reporter/access", summary="See who sent it", response_model=ReporterView)
async def see_reporter(report_id: UUID, body: ReporterAccess, command: SeeingReporter) -> Response:
    """Who sent a report. Each look is logged with its reason, so this is a command, not a query."""
    raised = Raised(item_id=report_id)
    return await command.run(
        lambda work: reporters.see_reporter(work, command.caller, raised, body),
        again=lambda work, _: reporters.see_reporter(work, command.caller, raised, body),
    )


@router.post("/reports/{report_id}/reporter/erasure", summary="Erase who sent it", response_model=ReporterErased)
async def erase_reporter(report_id: UUID, body: ReporterAccess, command: SeeingReporter) -> Response:
    """Forget for good who sent a report. The erasure is logged; the report, and what followed from it, stay."""
    raised = Raised(item_id=report_id)
    return await command.run(lambda work: reporters.erase_reporter(work, command.caller, raised, body))
