"""Taking in what a learner or an educator reports by the form."""

from uuid_utils.compat import uuid7

from services.intelligence.commands import proposing
from services.intelligence.commands.raising import require_not_after
from services.intelligence.domain.organisation import require_provider
from services.intelligence.domain.scope import require_standards
from services.intelligence.store import organisations, reporters, reports
from services.intelligence.store.items import Item
from services.intelligence.store.reporters import Raised
from services.intelligence.store.reports import Report
from services.intelligence.views.reports import ReportReceipt, SendReport
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.reference.kinds import Tendency
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.refusals import rules


async def send_report(work: UnitOfWork, caller: Caller, body: SendReport) -> Answer:
    """Keep a report, its words and who sent it each in their place, and apply the policy to it at once.

    The history names the form that passed it on, or the officer who wrote it down: never who sent it.
    """
    happened_on = body.happened_on or work.today
    register = await organisations.load(work.connection, {body.provider_code, body.site_code or body.provider_code})
    with rules():
        require_not_after("happened_on", happened_on, work.today)
        # A code that was closed since is still where it happened; a concern is raised about what is there today.
        require_provider(register, body.provider_code, body.site_code, work.today if body.immediate else happened_on)
        standards = require_standards(body.standards)
    report = Report(
        item=Item(
            id=uuid7(),
            provider_code=body.provider_code,
            site_code=body.site_code,
            programme=body.programme,
            learner_group=body.learner_group,
            standards=standards,
            source_kind=body.reporter_kind.source_kind,
            source_date=happened_on,
            summary=_summary(body),
            recorded_at=work.now,
            tendency=Tendency.ADVERSE,
        ),
        words=body.words,
        patient_safety=body.patient_safety,
        immediate=body.immediate,
        received_at=work.now,
    )
    await reports.add(work.connection, report)
    if body.reporter is not None:
        await reporters.add(work.connection, Raised(item_id=report.id), body.reporter.name, body.reporter.contact)
    await history.record(
        work.connection, [Change("intelligence_item", str(report.id), 1, work.now, caller.subject, "reported")]
    )
    done = await proposing.consider(work, [body.provider_code])
    return Answer(_receipt(report, done.led_to_a_concern(report.id)), 201, location=f"/reports/{report.id}")


def _receipt(report: Report, raised_at_once: bool) -> ReportReceipt:
    return ReportReceipt(id=report.id, received_at=report.received_at, raised_at_once=raised_at_once)


def _summary(body: SendReport) -> str:
    """What the item says: that there is a report. Its words are read where they are kept."""
    about = " It speaks of patient safety." if body.patient_safety else ""
    urgent = " Somebody is at risk now." if body.immediate else ""
    return f"A report by {'an educator' if body.reporter_kind == 'educator' else 'a learner'}.{about}{urgent}"
