"""What the service answers of reports, to whoever manages concerns."""

from uuid import UUID

from services.intelligence.store import reports
from services.intelligence.store.reports import Report
from services.intelligence.views.reports import ReportView
from shared.persistence.pool import Connection
from shared.web.problems import NotFound


async def report(connection: Connection, report_id: UUID) -> ReportView:
    """A report. Raises NotFound."""
    found = await reports.load(connection, report_id)
    if found is None:
        raise NotFound(f"There is no report {report_id}.")
    return view(found)


def view(report: Report) -> ReportView:
    """A report that was loaded."""
    return ReportView(
        id=report.id,
        source_kind=report.item.source_kind,
        provider_code=report.item.provider_code,
        site_code=report.item.site_code,
        programme=report.item.programme,
        learner_group=report.item.learner_group,
        standards=report.item.standards,
        happened_on=report.item.source_date,
        words=report.words,
        patient_safety=report.patient_safety,
        immediate=report.immediate,
        received_at=report.received_at,
    )
