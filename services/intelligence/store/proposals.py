"""Proposals and what they rest on, in the database."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.intelligence.domain.organisation import Organisation
from services.intelligence.domain.proposal import Proposal, ProposalState
from services.intelligence.domain.proposing import Evidence
from services.intelligence.domain.signals import Mark, Scope, Signal, SignalKind, programme_key
from shared.contracts.concerns import DismissalReason
from shared.persistence.pool import Connection
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind

_SELECT = """
    select p.*, o.name, o.kind as provider_kind, o.parent_code, o.valid_from, o.valid_to, o.successor_code, o.source,
           o.version as provider_version
    from proposals p join organisations o on o.ods_code = p.provider_code"""


async def add(connection: Connection, proposals: Sequence[Proposal], created_at: datetime) -> None:
    """Keep new proposals with what they rest on."""
    await connection.executemany(
        """
        insert into proposals (id, provider_code, site_code, programme, programme_key, learner_group, standard_set,
                               standards, rules, policy_version, proposed_on, state, concern_id, dismissal, decided_on,
                               version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)""",
        [
            (
                p.id,
                p.provider.ods_code,
                p.site_code,
                p.programme,
                programme_key(p.programme),
                p.learner_group,
                p.standard_set,
                p.standards,
                p.rules,
                p.policy_version,
                p.proposed_on,
                p.state,
                p.concern_id,
                p.dismissal,
                p.decided_on,
                p.version,
                created_at,
            )
            for p in proposals
        ],
    )
    await _put_evidence(connection, proposals)


async def save(connection: Connection, proposals: Sequence[Proposal]) -> None:
    """Save what can change of proposals. Their rows must be locked by this transaction."""
    await connection.executemany(
        """
        update proposals set standards = $2, rules = $3, policy_version = $4, state = $5, concern_id = $6,
                             dismissal = $7, decided_on = $8, version = $9
        where id = $1""",
        [
            (
                p.id,
                p.standards,
                p.rules,
                p.policy_version,
                p.state,
                p.concern_id,
                p.dismissal,
                p.decided_on,
                p.version,
            )
            for p in proposals
        ],
    )
    await _put_evidence(connection, proposals)


async def load(connection: Connection, proposal_id: UUID) -> Proposal | None:
    """A proposal."""
    row = await connection.fetchrow(f"{_SELECT} where p.id = $1", proposal_id)
    return (await _with_evidence(connection, [row]))[0] if row else None


async def load_locked(connection: Connection, proposal_id: UUID) -> Proposal | None:
    """A proposal, locked until the transaction ends."""
    row = await connection.fetchrow(f"{_SELECT} where p.id = $1 for update of p", proposal_id)
    return (await _with_evidence(connection, [row]))[0] if row else None


async def waiting_locked(connection: Connection, provider_codes: Collection[str]) -> list[Proposal]:
    """The proposals about these providers that wait for a person, locked until the transaction ends."""
    rows = await connection.fetch(
        f"{_SELECT} where p.state = 'proposed' and p.provider_code = any($1) order by p.id for update of p",
        list(provider_codes),
    )
    return await _with_evidence(connection, rows)


async def of_concern(connection: Connection, concern_id: UUID) -> list[Proposal]:
    """The proposals that a concern, or one that was merged into it, was raised from or took over; oldest first."""
    rows = await connection.fetch(
        f"""
        with recursive merged (id) as (
            select $1::uuid union select c.id from concerns c join merged m on c.merged_into = m.id
        )
        {_SELECT} where p.concern_id in (select id from merged) order by p.id""",  # noqa: S608 a constant
        concern_id,
    )
    return await _with_evidence(connection, rows)


async def of_provider(connection: Connection, provider_code: str) -> list[Proposal]:
    """All proposals about a provider, oldest first."""
    rows = await connection.fetch(f"{_SELECT} where p.provider_code = $1 order by p.id", provider_code)
    return await _with_evidence(connection, rows)


async def page(
    connection: Connection,
    *,
    provider: str | None,
    state: ProposalState | None,
    rule: str | None,
    after: UUID | None,
    limit: int,
) -> list[Proposal]:
    """Up to ``limit`` proposals in the order they were made, beginning after one."""
    rows = await connection.fetch(
        f"""{_SELECT}
        where ($1::text is null or p.provider_code = $1) and ($2::text is null or p.state = $2)
          and ($3::text is null or $3 = any(p.rules)) and ($4::uuid is null or p.id > $4)
        order by p.id limit $5""",
        provider,
        state,
        rule,
        after,
        limit,
    )
    return await _with_evidence(connection, rows)


async def _put_evidence(connection: Connection, proposals: Sequence[Proposal]) -> None:
    await connection.executemany(
        """
        insert into proposal_evidence (proposal_id, kind, signal_id, revision, site_code, programme, learner_group,
                                       standards, source, source_kind, signal_on, marks, rules)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        on conflict (proposal_id, kind, signal_id) do update
        set revision = excluded.revision, site_code = excluded.site_code, programme = excluded.programme,
            learner_group = excluded.learner_group, standards = excluded.standards, source = excluded.source,
            source_kind = excluded.source_kind, signal_on = excluded.signal_on, marks = excluded.marks,
            rules = excluded.rules""",
        [
            (
                proposal.id,
                one.signal.kind,
                UUID(one.signal.id),
                one.signal.revision,
                one.signal.scope.site_code,
                one.signal.scope.programme,
                one.signal.scope.learner_group,
                sorted(one.signal.standards),
                one.signal.source,
                one.signal.source_kind,
                one.signal.on,
                sorted(one.signal.marks),
                one.rules,
            )
            for proposal in proposals
            for one in proposal.evidence
        ],
    )


async def _with_evidence(connection: Connection, rows: Sequence[asyncpg.Record]) -> list[Proposal]:
    """The proposals of these rows."""
    found = await connection.fetch(
        """
        select e.*, p.provider_code from proposal_evidence e join proposals p on p.id = e.proposal_id
        where e.proposal_id = any($1) order by e.signal_on, e.kind, e.signal_id""",
        [row["id"] for row in rows],
    )
    evidence = defaultdict[UUID, list[Evidence]](list)
    for row in found:
        evidence[row["proposal_id"]].append(_evidence(row))
    return [_proposal(row, evidence[row["id"]]) for row in rows]


def _evidence(row: asyncpg.Record) -> Evidence:
    return Evidence(
        Signal(
            kind=SignalKind(row["kind"]),
            id=str(row["signal_id"]),
            revision=row["revision"],
            scope=Scope(row["provider_code"], row["site_code"], row["programme"], _group(row["learner_group"])),
            standards=frozenset(row["standards"]),
            source=row["source"],
            source_kind=SourceKind(row["source_kind"]),
            on=row["signal_on"],
            marks=frozenset(Mark(mark) for mark in row["marks"]),
        ),
        tuple(row["rules"]),
    )


def _proposal(row: asyncpg.Record, evidence: Sequence[Evidence]) -> Proposal:
    return Proposal(
        id=row["id"],
        provider=Organisation(
            ods_code=row["provider_code"],
            name=row["name"],
            kind=ProviderKind(row["provider_kind"]),
            parent_code=row["parent_code"],
            valid_from=row["valid_from"],
            valid_to=row["valid_to"],
            successor_code=row["successor_code"],
            source=row["source"],
            version=row["provider_version"],
        ),
        site_code=row["site_code"],
        programme=row["programme"],
        learner_group=_group(row["learner_group"]),
        standard_set=row["standard_set"],
        standards=tuple(row["standards"]),
        rules=tuple(row["rules"]),
        policy_version=row["policy_version"],
        proposed_on=row["proposed_on"],
        evidence=tuple(evidence),
        state=ProposalState(row["state"]),
        concern_id=row["concern_id"],
        dismissal=DismissalReason(row["dismissal"]) if row["dismissal"] else None,
        decided_on=row["decided_on"],
        version=row["version"],
    )


def _group(value: str | None) -> LearnerGroup | None:
    return LearnerGroup(value) if value else None
