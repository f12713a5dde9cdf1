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
    escalated: int
    de_escalated: int
    corrected: int
    #: How often it went on for another concern, or for a proposal.
    took_over: int
    #: True if it was rated since it was last reopened, or was never reopened.
    rated_since_reopening: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """The register, and the stories of its concerns."""

    concerns: dict[UUID, ConcernFacts]
    #: How often each exit condition was settled, by its id.
    conditions: dict[UUID, int]
    #: Whether each suspension of training has ended, by its id.
    suspensions: dict[UUID, bool]
    #: Whether each proposal was dismissed, by its id.
    proposals: dict[UUID, bool]
    #: (concern, event) of every chapter of every story, as often as it is there.
    chapters: list[tuple[UUID, UUID]]


async def read(connection: Connection) -> Facts:
    """Read all facts of the stage. Call it in a repeatable-read transaction."""
    concerns = await connection.fetch(
        """
        select c.id, c.provider_code, c.category, c.status, r.categories, h.rated, h.closed, h.reopened, h.escalated,
               h.de_escalated, h.corrected, h.took_over,
               h.last_rated > h.last_reopened as rated_since
        from concerns c
        left join (select concern_id, array_agg(distinct category) as categories from concern_ratings
                   where category is not null group by concern_id) r
            on r.concern_id = c.id
        left join (
            select aggregate_id, count(*) filter (where change = 'rated') as rated,
                   -- A merger closes the concern that was merged.
                   count(*) filter (where change in ('closed', 'merged')) as closed,
                   count(*) filter (where change = 'escalated') as escalated,
                   count(*) filter (where change = 'de-escalated') as de_escalated,
                   count(*) filter (where change = 'corrected') as corrected,
                   count(*) filter (where change in ('took over', 'took over a proposal')) as took_over,
                   count(*) filter (where change = 'reopened') as reopened,
                   coalesce(max(version) filter (where change = 'rated'), 0) as last_rated,
                   coalesce(max(version) filter (where change = 'reopened'), 0) as last_reopened
            from history where aggregate = 'concern' group by aggregate_id
        ) h on h.aggregate_id = c.id::text"""
    )
    settled = await connection.fetch(
        """
        select e.id, count(t.*) as times
        from exit_conditions e
        left join (
            select (moved ->> 'id')::uuid as condition_id
            from history, jsonb_array_elements(detail -> 'transitions') as moved
            where aggregate = 'concern' and moved ->> 'machine' = 'exit condition' and moved ->> 'from' is not null
        ) t on t.condition_id = e.id
        group by e.id"""
    )
    suspensions = await connection.fetch("select id, restored_on is not null as ended from training_suspensions")
    proposals = await connection.fetch("select id, state = 'dismissed' as dismissed from proposals")
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
                escalated=row["escalated"] or 0,
                de_escalated=row["de_escalated"] or 0,
                corrected=row["corrected"] or 0,
                took_over=row["took_over"] or 0,
                rated_since_reopening=bool(row["rated_since"]),
            )
            for row in concerns
        },
        conditions={row["id"]: row["times"] for row in settled},
        suspensions={row["id"]: row["ended"] for row in suspensions},
        proposals={row["id"]: row["dismissed"] for row in proposals},
        chapters=[(row["concern_id"], row["event_id"]) for row in chapters],
    )


def _category(value: int | None) -> Category | None:
    return None if value is None else Category(value)
