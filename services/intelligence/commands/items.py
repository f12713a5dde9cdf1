"""Recording items of intelligence."""

from uuid_utils.compat import uuid7

from services.intelligence.commands import proposing
from services.intelligence.domain.organisation import require_provider
from services.intelligence.domain.scope import require_standards
from services.intelligence.store import items, organisations
from services.intelligence.store.items import Item
from services.intelligence.views.items import ItemView, RecordItem
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.rules import RuleBroken
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.refusals import rules


async def record_item(work: UnitOfWork, caller: Caller, body: RecordItem) -> Answer:
    """Keep something that was heard about a provider, and see what the policy makes of it.

    It is not yet a concern, and no event tells of it; one tells of the concern that the policy proposes.
    """
    register = await organisations.load(work.connection, {body.provider_code, body.site_code or body.provider_code})
    with rules():
        require_provider(register, body.provider_code, body.site_code, body.source_date)
        standards = require_standards(body.standards)
        if body.source_date > work.today:
            raise RuleBroken("source_date", f"is after {work.today}")
    item = Item(
        id=uuid7(),
        provider_code=body.provider_code,
        site_code=body.site_code,
        programme=body.programme,
        learner_group=body.learner_group,
        standards=standards,
        source_kind=body.source_kind,
        source_date=body.source_date,
        summary=body.summary,
        recorded_at=work.now,
        theme=body.theme,
        tendency=body.tendency,
    )
    await items.add(work.connection, item)
    await history.record(
        work.connection, [Change("intelligence_item", str(item.id), 1, work.now, caller.subject, "recorded")]
    )
    await proposing.consider(work, [item.provider_code])
    return Answer(ItemView.of(item), 201, location=f"/intelligence/{item.id}")
