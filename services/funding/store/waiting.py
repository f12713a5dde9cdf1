"""Outcomes that wait for an agreement, in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.funding.domain.proposals import Arrival
from shared.contracts.outcomes import OutcomeRecorded
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Waiting:
    """A waiting outcome: since when, and its place in the order of arrival."""

    position: int
    arrival: Arrival
    received_at: datetime


async def add(connection: Connection, arrivals: Sequence[tuple[Arrival, datetime]]) -> None:
    """Let outcomes wait, each received at an instant."""
    if not arrivals:
        return
    await connection.execute(
        """
        insert into waiting_outcomes (outcome_id, provider_ods_code, financial_year, event_id, correlation_id,
                                      proposal_id, outcome, received_at)
        select outcome_id, provider, year, event_id, correlation_id, proposal_id, outcome, received_at
        from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::jsonb[],
                    $8::timestamptz[])
            with ordinality as w (outcome_id, provider, year, event_id, correlation_id, proposal_id, outcome,
                                  received_at, place)
        order by place""",
        [arrival.outcome.outcome_id for arrival, _ in arrivals],
        [arrival.provider_and_year[0] for arrival, _ in arrivals],
        [arrival.provider_and_year[1] for arrival, _ in arrivals],
        [arrival.event_id for arrival, _ in arrivals],
        [arrival.correlation_id for arrival, _ in arrivals],
        [arrival.proposal_id for arrival, _ in arrivals],
        [arrival.outcome.model_dump(mode="json") for arrival, _ in arrivals],
        [received_at for _, received_at in arrivals],
    )


async def take(connection: Connection, provider: str, year: str) -> list[Waiting]:
    """The outcomes that wait for this provider's year, in order of arrival; they wait no longer."""
    rows = await connection.fetch(
        "delete from waiting_outcomes where provider_ods_code = $1 and financial_year = $2 returning *",
        provider,
        year,
    )
    return sorted((_waiting(row) for row in rows), key=lambda waiting: waiting.position)


async def page(connection: Connection, *, provider: str | None, after: int, limit: int) -> list[Waiting]:
    """Waiting outcomes, in order of arrival."""
    rows = await connection.fetch(
        """
        select * from waiting_outcomes
        where position > $1 and ($2::text is null or provider_ods_code = $2)
        order by position limit $3""",
        after,
        provider,
        limit,
    )
    return [_waiting(row) for row in rows]


async def count(connection: Connection) -> int:
    """How many outcomes wait."""
    return await connection.fetchval("select count(*) from waiting_outcomes")


def _waiting(row: Any) -> Waiting:
    arrival = Arrival(
        outcome=OutcomeRecorded.model_validate(row["outcome"]),
        event_id=row["event_id"],
        correlation_id=row["correlation_id"],
        proposal_id=row["proposal_id"],
    )
    return Waiting(row["position"], arrival, row["received_at"])
