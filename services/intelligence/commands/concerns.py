"""Raising, assessing, rating, correcting, merging, closing and reopening concerns."""

from dataclasses import replace
from uuid import UUID

from services.intelligence.commands.changing import change, keep, locked
from services.intelligence.commands.raising import NewConcern, raise_on_register, require_items, require_not_after
from services.intelligence.domain.concern import Concern, Scope
from services.intelligence.domain.organisation import require_provider
from services.intelligence.domain.rating import Rating
from services.intelligence.domain.scope import require_standards
from services.intelligence.queries import concern_view
from services.intelligence.store import concerns, items, organisations, reporters
from services.intelligence.store.concerns import RatingRow
from services.intelligence.store.reporters import Raised
from services.intelligence.views.concerns import (
    AssessConcern,
    CloseConcern,
    CorrectConcern,
    LinkItems,
    MergeConcern,
    RaiseConcern,
    RateConcern,
    ReopenConcern,
)
from shared.contracts.fields import EventData
from shared.messaging.unit_of_work import UnitOfWork
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.etags import ExpectedVersion
from shared.web.problems import Unprocessable
from shared.web.refusals import rules


async def raise_concern(work: UnitOfWork, caller: Caller, body: RaiseConcern) -> Answer:
    """Put a concern on the register, resting on the items it names."""
    new = NewConcern(
        provider_code=body.provider_code,
        site_code=body.site_code,
        programme=body.programme,
        learner_group=body.learner_group,
        standards=body.standards,
        source_kind=body.source_kind,
        source_date=body.source_date,
        raised_on=body.raised_on or work.today,
        summary=body.summary,
        action=body.action,
        item_ids=body.item_ids,
    )
    with rules():
        concern = await raise_on_register(work, caller.subject, new)
    if body.reporter is not None:
        await reporters.add(work.connection, Raised(concern.id), body.reporter.name, body.reporter.contact)
    view = await concern_view(work.connection, concern)
    return Answer(view, 201, version=concern.version, location=f"/concerns/{concern.id}")


async def link_items(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: LinkItems
) -> Answer:
    """Let a concern rest on more items of intelligence."""
    concern = await locked(work, concern_id, expected)
    with rules():
        await require_items(work, body.item_ids, concern.provider.ods_code)
    await items.link(work.connection, concern.id, body.item_ids)
    return await _kept(work, caller, concern, "linked to intelligence", None)


async def assess_concern(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: AssessConcern
) -> Answer:
    """Note impact and likelihood and the category they suggest; it counts once a person confirms one."""
    concern = await locked(work, concern_id, expected)
    rating = Rating(body.impact, body.likelihood)
    row = RatingRow(concern.id, concern.version + 1, rating, None, body.rationale, work.today, caller.subject)
    await concerns.add_ratings(work.connection, [row])
    return await _kept(work, caller, concern, "assessed", body.rationale)


async def rate_concern(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: RateConcern
) -> Answer:
    """Confirm a category, with the rating and the rationale behind it."""
    rating = Rating(body.impact, body.likelihood)
    before = await locked(work, concern_id, expected)
    with rules():
        rated, event = before.rate(rating, body.category, work.today, why=body.rationale)
    row = RatingRow(rated.id, rated.version, rating, body.category, body.rationale, work.today, caller.subject)
    await concerns.add_ratings(work.connection, [row])
    await keep(work, caller.subject, before, rated, called="rated", reason=body.rationale, event=event)
    return Answer(await concern_view(work.connection, rated), version=rated.version)


async def correct_concern(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: CorrectConcern
) -> Answer:
    """Put right where a concern lies; what is left out stays as it is, and a site of null is none."""
    before = await locked(work, concern_id, expected)
    given = body.model_fields_set
    scope = Scope(
        site_code=body.site_code if "site_code" in given else before.site_code,
        programme=body.programme or before.programme,
        learner_group=body.learner_group or before.learner_group,
        standards=before.standards,
    )
    if scope.site_code is not None:
        codes = {before.provider.ods_code, scope.site_code}
        register = await organisations.load(work.connection, codes)
        with rules():
            require_provider(register, before.provider.ods_code, scope.site_code, before.raised_on)
    with rules():
        if body.standards is not None:
            scope = replace(scope, standards=tuple(require_standards(body.standards)))
        after, event = before.correct(scope, work.today, why=body.rationale)
    await keep(work, caller.subject, before, after, called="corrected", reason=body.rationale, event=event)
    return Answer(await concern_view(work.connection, after), version=after.version)


async def merge_concern(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: MergeConcern
) -> Answer:
    """Merge another concern about the same provider into this one, which then rests on its intelligence too."""
    found = await concerns.load_all_locked(work.connection, {concern_id, body.merged_concern_id})
    before = await locked(work, concern_id, expected)
    other = found.get(body.merged_concern_id)
    if other is None:
        reason = f"there is no concern {body.merged_concern_id}"
        raise Unprocessable(f"merged_concern_id: {reason}.", errors=[("body.merged_concern_id", reason)])
    with rules():
        merged, closed = other.merge_into(before, work.today, why=body.rationale)
        after, taken_over = before.take_over(other, work.today, why=body.rationale)
    await items.link_all_of(work.connection, other.id, after.id)
    await keep(work, caller.subject, other, merged, called="merged", reason=body.rationale, event=closed)
    await keep(work, caller.subject, before, after, called="took over", reason=body.rationale, event=taken_over)
    return Answer(await concern_view(work.connection, after), version=after.version)


async def close_concern(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: CloseConcern
) -> Answer:
    """Close a concern on this office's register."""
    closed_on = body.closed_on or work.today

    def decide(concern: Concern) -> tuple[Concern, EventData]:
        require_not_after("closed_on", closed_on, work.today)
        return concern.close(body.closure_reason, closed_on, why=body.rationale)

    return await change(work, caller, concern_id, expected, decide, called="closed", reason=body.rationale)


async def reopen_concern(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: ReopenConcern
) -> Answer:
    """Open a closed concern again."""

    def decide(concern: Concern) -> tuple[Concern, EventData]:
        return concern.reopen(work.today, why=body.rationale)

    return await change(work, caller, concern_id, expected, decide, called="reopened", reason=body.rationale)


async def _kept(work: UnitOfWork, caller: Caller, before: Concern, called: str, reason: str | None) -> Answer:
    """Keep a change that moves no machine and that nobody else is told of."""
    after = replace(before, version=before.version + 1)
    await keep(work, caller.subject, before, after, called=called, reason=reason, event=None)
    return Answer(await concern_view(work.connection, after), version=after.version)
