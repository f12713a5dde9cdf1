"""What this stage's tables say, all of it, for whoever compares the stages: ids and states, no words of anybody."""

from dataclasses import dataclass
from uuid import UUID

from services.intelligence.domain.concern import Status
from shared.contracts.fields import Category
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class ConcernFacts:
    """A concern, and how often each thing happened to it that others are told of."""

    id: UUID
    provider_code: str
    category: Category | None
    open: bool
    #: Every category ever confirmed.
    categories: frozenset[Category]
    rated: int
    closed: int
    reopened: int
    #: True if it was rated since it was last reopened, or was never reopened.
    rated_since_reopening: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """The register, and the stories of its concerns."""

    concerns: dict[UUID, ConcernFacts]
    #: (concern, event) of every chapter of every story, as often as it is there.
    chapters: list[tuple[UUID, UUID]]


async def read(connection: Connection) -> Facts:
    """Read all facts of the stage. Call it in a repeatable-read transaction."""
    concerns = await connection.fetch(
        """
        select c.id, c.provider_code, c.category, c.status, r.categories, h.rated, h.closed, h.reopened,
               h.last_rated > h.last_reopened as rated_since
        from concerns c
        left join (select concern_id, array_agg(distinct category) as categories from concern_ratings
                   where category is not null group by concern_id) r
            on r.concern_id = c.id
        left join (
            select aggregate_id, count(*) filter (where change = 'rated') as rated,
                   count(*) filter (where change = 'closed') as closed,
                   count(*) filter (where change = 'reopened') as reopened,
                   coalesce(max(version) filter (where change = 'rated'), 0) as last_rated,
                   coalesce(max(version) filter (where change = 'reopened'), 0) as last_reopened
            from history where aggregate = 'concern' group by aggregate_id
        ) h on h.aggregate_id = c.id::text"""
    )
    chapters = await connection.fetch("select concern_id, event_id from concern_story")
    return Facts(
        concerns={
            row["id"]: ConcernFacts(
                id=row["id"],
                provider_code=row["provider_code"],
                category=_category(row["category"]),
                open=row["status"] == Status.OPEN,
                categories=frozenset(Category(one) for one in row["categories"] or ()),
                rated=row["rated"] or 0,
                closed=row["closed"] or 0,
                reopened=row["reopened"] or 0,
                rated_since_reopening=bool(row["rated_since"]),
            )
            for row in concerns
        },
        chapters=[(row["concern_id"], row["event_id"]) for row in chapters],
    )


def _category(value: int | None) -> Category | None:
    return None if value is None else Category(value)
