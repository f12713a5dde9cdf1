"""Proposals and adjustments in the database."""

from collections.abc import Collection, Sequence
from typing import Any, cast
from uuid import UUID

from services.funding.domain.proposals import Adjustment, FromOutcome, Proposal, ProposalState
from shared.contracts.fields import AdjustmentReason, Lever
from shared.persistence.pool import Connection


async def get(connection: Connection, proposal_id: UUID) -> Proposal | None:
    """One proposal, or None."""
    row = await connection.fetchrow("select * from proposals where id = $1", proposal_id)
    return _proposal(row) if row else None


async def lock(connection: Connection, proposal_id: UUID) -> Proposal | None:
    """One proposal, which nobody else can decide until the transaction ends; or None."""
    row = await connection.fetchrow("select * from proposals where id = $1 for update", proposal_id)
    return _proposal(row) if row else None


async def page(
    connection: Connection,
    *,
    state: ProposalState | None,
    provider: str | None,
    agreement_id: UUID | None,
    outcome_id: UUID | None,
    after: int,
    limit: int,
) -> list[tuple[int, Proposal]]:
    """Proposals in the order they were made, each with its place in that order."""
    rows = await connection.fetch(
        """
        select p.* from proposals p join agreements a on a.id = p.agreement_id
        where p.position > $1 and ($2::text is null or p.state = $2)
          and ($3::text is null or a.provider_ods_code = $3)
          and ($4::uuid is null or p.agreement_id = $4) and ($5::uuid is null or p.outcome_id = $5)
        order by p.position limit $6""",
        after,
        state.value if state else None,
        provider,
        agreement_id,
        outcome_id,
        limit,
    )
    return [(row["position"], _proposal(row)) for row in rows]


async def add(connection: Connection, proposals: Sequence[Proposal]) -> None:
    """Save new proposals, in this order."""
    if not proposals:
        return
    # The uuids of the concerns travel as one text per proposal: an array of arrays would have to be rectangular.
    await connection.execute(
        """
        insert into proposals (id, agreement_id, lever, pence, reason, reasons, concern_ids, correlation_id,
                               proposed_at, proposed_by, note, outcome_id, outcome_event_id, outcome_recorded_by,
                               policy_version)
        select id, agreement_id, lever, pence, reason, reasons::text[], concern_ids::uuid[], correlation_id,
               proposed_at, proposed_by, note, outcome_id, outcome_event_id, outcome_recorded_by, policy_version
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::uuid[],
                    $9::timestamptz[], $10::text[], $11::text[], $12::uuid[], $13::uuid[], $14::text[], $15::text[])
            with ordinality as p (id, agreement_id, lever, pence, reason, reasons, concern_ids, correlation_id,
                                  proposed_at, proposed_by, note, outcome_id, outcome_event_id, outcome_recorded_by,
                                  policy_version, place)
        order by place""",
        [p.id for p in proposals],
        [p.agreement_id for p in proposals],
        [p.lever.value for p in proposals],
        [p.pence for p in proposals],
        [p.reason.value for p in proposals],
        [_array(p.reasons) for p in proposals],
        [_array(p.concern_ids) for p in proposals],
        [p.correlation_id for p in proposals],
        [p.proposed_at for p in proposals],
        # asyncpg's stubs do not allow for a null in an array; PostgreSQL and asyncpg do.
        cast("list[str]", [p.proposed_by for p in proposals]),
        cast("list[str]", [p.note for p in proposals]),
        cast("list[UUID]", [p.origin and p.origin.outcome_id for p in proposals]),
        cast("list[UUID]", [p.origin and p.origin.event_id for p in proposals]),
        cast("list[str]", [p.origin and p.origin.recorded_by for p in proposals]),
        cast("list[str]", [p.origin and p.origin.policy_version for p in proposals]),
    )


async def save_decision(connection: Connection, proposal: Proposal) -> None:
    """Save the decision on a locked proposal."""
    await connection.execute(
        "update proposals set state = $2, decided_by = $3, decided_at = $4, version = $5 where id = $1",
        proposal.id,
        proposal.state.value,
        proposal.decided_by,
        proposal.decided_at,
        proposal.version,
    )


async def add_adjustment(connection: Connection, adjustment: Adjustment) -> None:
    """Save what an approved proposal became."""
    await connection.execute(
        """
        insert into adjustments (id, proposal_id, transaction_id, effective_on, approved_by, approved_at)
        values ($1, $2, $3, $4, $5, $6)""",
        adjustment.id,
        adjustment.proposal_id,
        adjustment.transaction_id,
        adjustment.effective_on,
        adjustment.approved_by,
        adjustment.approved_at,
    )


async def adjustments_of(connection: Connection, proposal_ids: Collection[UUID]) -> dict[UUID, Adjustment]:
    """The adjustments that these proposals became, by proposal."""
    rows = await connection.fetch("select * from adjustments where proposal_id = any($1::uuid[])", list(proposal_ids))
    return {row["proposal_id"]: Adjustment(**dict(row)) for row in rows}


async def open_proposals(connection: Connection) -> int:
    """How many proposals wait for a decision."""
    return await connection.fetchval("select count(*) from proposals where state = 'open'")


async def adjusted_pence(connection: Connection) -> list[tuple[Lever, bool, int]]:
    """Pence moved by all adjustments, per lever and direction (True: to the provider). Amounts are positive."""
    rows = await connection.fetch(
        """
        select p.lever, p.pence > 0 as gives, sum(abs(p.pence))::bigint as pence
        from adjustments a join proposals p on p.id = a.proposal_id
        where p.pence <> 0 group by 1, 2"""
    )
    return [(Lever(row["lever"]), row["gives"], row["pence"]) for row in rows]


def _array(values: Sequence[object]) -> str:
    return "{" + ",".join(f'"{value}"' for value in values) + "}"


def _proposal(row: Any) -> Proposal:
    origin = None
    if row["outcome_id"] is not None:
        origin = FromOutcome(
            row["outcome_id"], row["outcome_event_id"], row["outcome_recorded_by"], row["policy_version"]
        )
    return Proposal(
        id=row["id"],
        agreement_id=row["agreement_id"],
        lever=Lever(row["lever"]),
        pence=row["pence"],
        reason=AdjustmentReason(row["reason"]),
        reasons=tuple(row["reasons"]),
        concern_ids=tuple(row["concern_ids"]),
        correlation_id=row["correlation_id"],
        proposed_at=row["proposed_at"],
        proposed_by=row["proposed_by"],
        note=row["note"],
        origin=origin,
        state=ProposalState(row["state"]),
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        version=row["version"],
    )
