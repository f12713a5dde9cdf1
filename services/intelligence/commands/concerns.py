"""Raising, assessing, rating, closing and reopening concerns."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

from services.intelligence.commands.raising import NewConcern, raise_on_register, require_items, require_not_after
from services.intelligence.commands.telling import tell
from services.intelligence.domain.concern import Concern
from services.intelligence.domain.rating import Rating
from services.intelligence.queries import concern_view
from services.intelligence.store import concerns, items, reporters, story
from services.intelligence.store.concerns import RatingRow
from services.intelligence.views.concerns import (
    AssessConcern,
    CloseConcern,
    LinkItems,
    RaiseConcern,
    RateConcern,
    ReopenConcern,
)
from shared.contracts.fields import EventData
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.etags import ExpectedVersion
from shared.web.problems import NotFound
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
        await reporters.add(work.connection, concern.id, body.reporter.name, body.reporter.contact)
    view = await concern_view(work.connection, concern)
    return Answer(view, 201, version=concern.version, location=f"/concerns/{concern.id}")


async def link_items(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: LinkItems
) -> Answer:
    """Let a concern rest on more items of intelligence."""
    concern = await _locked(work, concern_id, expected)
    with rules():
        await require_items(work, body.item_ids, concern.provider.ods_code)
    await items.link(work.connection, concern.id, body.item_ids)
    linked = replace(concern, version=concern.version + 1)
    await concerns.save(work.connection, linked)
    await _record(work, caller, linked, "linked to intelligence", None)
    return Answer(await concern_view(work.connection, linked), version=linked.version)


async def assess_concern(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: AssessConcern
) -> Answer:
    """Note impact and likelihood and the category they suggest; it counts once a person confirms one."""
    concern = await _locked(work, concern_id, expected)
    assessed = replace(concern, version=concern.version + 1)
    await concerns.save(work.connection, assessed)
    rating = Rating(body.impact, body.likelihood)
    row = RatingRow(concern.id, assessed.version, rating, None, body.rationale, work.today, caller.subject)
    await concerns.add_ratings(work.connection, [row])
    await _record(work, caller, assessed, "assessed", body.rationale)
    return Answer(await concern_view(work.connection, assessed), version=assessed.version)


async def rate_concern(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: RateConcern
) -> Answer:
    """Confirm a category, with the rating and the rationale behind it."""
    rating = Rating(body.impact, body.likelihood)

    async def act(concern: Concern) -> tuple[Concern, EventData]:
        rated, event = concern.rate(rating, body.category, work.today)
        row = RatingRow(concern.id, rated.version, rating, body.category, body.rationale, work.today, caller.subject)
        await concerns.add_ratings(work.connection, [row])
        return rated, event

    return await _change(work, caller, concern_id, expected, act, "rated", body.rationale)


async def close_concern(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: CloseConcern
) -> Answer:
    """Close a concern on this office's register."""
    closed_on = body.closed_on or work.today

    async def act(concern: Concern) -> tuple[Concern, EventData]:
        require_not_after("closed_on", closed_on, work.today)
        return concern.close(body.closure_reason, closed_on)

    return await _change(work, caller, concern_id, expected, act, "closed", body.rationale)


async def reopen_concern(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: ReopenConcern
) -> Answer:
    """Open a closed concern again."""

    async def act(concern: Concern) -> tuple[Concern, EventData]:
        return concern.reopen(work.today)

    return await _change(work, caller, concern_id, expected, act, "reopened", body.rationale)


async def _change(
    work: UnitOfWork,
    caller: Caller,
    concern_id: UUID,
    expected: ExpectedVersion,
    act: Callable[[Concern], Awaitable[tuple[Concern, EventData]]],
    change: str,
    reason: str,
) -> Answer:
    """What every change that others hear of has in common."""
    concern = await _locked(work, concern_id, expected)
    with rules():
        changed, event = await act(concern)
    await concerns.save(work.connection, changed)
    await _record(work, caller, changed, change, reason)
    await story.add(work.connection, [tell(work, changed, event)])
    return Answer(await concern_view(work.connection, changed), version=changed.version)


async def _locked(work: UnitOfWork, concern_id: UUID, expected: ExpectedVersion) -> Concern:
    concern = await concerns.load_locked(work.connection, concern_id)
    if concern is None:
        raise NotFound(f"There is no concern {concern_id}.")
    expected.require(concern.version)
    return concern


async def _record(work: UnitOfWork, caller: Caller, concern: Concern, change: str, reason: str | None) -> None:
    await history.record(
        work.connection,
        [Change("concern", str(concern.id), concern.version, work.now, caller.subject, change, reason)],
    )
