"""What the intelligence service answers."""

from uuid import UUID

from services.intelligence.domain.concern import Concern, marked_for
from services.intelligence.store import concern_life, concerns, items, organisations, story
from services.intelligence.store.concerns import RatingRow
from services.intelligence.views.concerns import ChapterView, ConcernSummary, ConcernView, RatingView
from services.intelligence.views.following_up import ExitConditionView, RegisterView, SuspensionView
from services.intelligence.views.items import ItemView
from services.intelligence.views.organisations import OrganisationView
from shared.persistence.pool import Connection
from shared.web.changes import changes_of
from shared.web.problems import NotFound


async def organisation(connection: Connection, ods_code: str) -> OrganisationView:
    """An organisation. Raises NotFound."""
    found = (await organisations.load(connection, [ods_code])).get(ods_code)
    if found is None:
        raise NotFound(f"There is no organisation {ods_code} in the register.")
    return OrganisationView.of(found)


async def item(connection: Connection, item_id: UUID) -> ItemView:
    """An item of intelligence. Raises NotFound."""
    found = (await items.load(connection, [item_id])).get(item_id)
    if found is None:
        raise NotFound(f"There is no item of intelligence {item_id}.")
    return ItemView.of(found)


async def concern(connection: Connection, concern_id: UUID) -> ConcernView:
    """A concern with its whole story. Raises NotFound."""
    found = await concerns.load(connection, concern_id)
    if found is None:
        raise NotFound(f"There is no concern {concern_id}.")
    return await concern_view(connection, found)


async def concern_view(connection: Connection, found: Concern) -> ConcernView:
    """A concern that was loaded, with its whole story."""
    return ConcernView(
        **summary(found).model_dump(),
        exit_conditions=[ExitConditionView.of(one) for one in found.life.conditions],
        suspensions=[SuspensionView.of(one) for one in await concern_life.suspensions_of(connection, found.id)],
        ratings=[_rating(row) for row in await concerns.ratings_of(connection, found.id)],
        items=[ItemView.of(row) for row in await items.of_concern(connection, found.id)],
        story=[
            ChapterView.model_validate(chapter, from_attributes=True)
            for chapter in await story.of(connection, found.id)
        ],
        history=await changes_of(connection, "concern", found.id),
    )


def summary(found: Concern) -> ConcernSummary:
    """A concern as it stands in a list."""
    return ConcernSummary(
        id=found.id,
        reference=found.reference,
        origin=found.origin,
        provider=found.provider.ref,
        site_code=found.site_code,
        programme=found.programme,
        learner_group=found.learner_group,
        standard_set=found.standard_set,
        standards=list(found.standards),
        source_kind=found.source_kind,
        source_date=found.source_date,
        raised_on=found.raised_on,
        summary=found.summary,
        action=found.action,
        status=found.status,
        stage=found.life.stage,
        merged_into=found.life.merged_into,
        category=found.category,
        closed_on=found.closed_on,
        closure_reason=found.closure_reason,
        marked_for=marked_for(found.category),
        significant_since=found.life.significant_since,
        registers=[RegisterView.of(standing) for standing in found.life.standings],
        training=found.life.training,
        version=found.version,
    )


def _rating(row: RatingRow) -> RatingView:
    return RatingView(
        impact=row.rating.impact,
        likelihood=row.rating.likelihood,
        score=row.rating.score,
        band=row.rating.band,
        suggested_category=row.rating.suggested_category,
        category=row.category,
        rationale=row.rationale,
        rated_on=row.rated_on,
        rated_by=row.rated_by,
    )
