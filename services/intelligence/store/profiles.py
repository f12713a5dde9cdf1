"""What a provider's profile is read from."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.intelligence.domain.rating import Rating
from shared.contracts.fields import Category
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class RatedConcern:
    """One assessment of a concern about a provider; ``category`` is None if nobody has confirmed it."""

    concern_id: UUID
    reference: str
    rated_on: date
    rating: Rating
    category: Category | None


async def ratings(connection: Connection, provider: str) -> list[RatedConcern]:
    """All assessments of all concerns about a provider, oldest first."""
    rows = await connection.fetch(
        """
        select r.concern_id, c.reference, r.rated_on, r.impact, r.likelihood, r.category
        from concern_ratings r join concerns c on c.id = r.concern_id
        where c.provider_code = $1 order by r.rated_on, r.concern_id, r.number""",
        provider,
    )
    return [
        RatedConcern(
            concern_id=row["concern_id"],
            reference=row["reference"],
            rated_on=row["rated_on"],
            rating=Rating(row["impact"], row["likelihood"]),
            category=None if row["category"] is None else Category(row["category"]),
        )
        for row in rows
    ]


async def last_year(connection: Connection, provider: str) -> int | None:
    """The last year that a survey has a result of a provider for."""
    return await connection.fetchval("select max(year) from flags where provider_code = $1", provider)


async def indicators(connection: Connection, provider: str) -> list[tuple[str, str]]:
    """The reports and indicators that surveys have results of a provider for."""
    rows = await connection.fetch(
        """
        select distinct report_type, indicator from flags where provider_code = $1
        order by report_type, indicator""",
        provider,
    )
    return [(row["report_type"], row["indicator"]) for row in rows]
