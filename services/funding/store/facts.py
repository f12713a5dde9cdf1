"""What this stage's tables say, all of it, for whoever compares the stages or checks the books."""

from dataclasses import dataclass
from uuid import UUID

from services.funding.domain.proposals import ProposalState
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class ProposalFacts:
    """A proposal; ``outcome_id`` is None if a person made it."""

    id: UUID
    agreement_id: UUID
    outcome_id: UUID | None
    pence: int
    state: ProposalState


@dataclass(frozen=True, slots=True)
class AdjustmentFacts:
    """An adjustment, and what its transaction moved on the account of what is committed, in pence."""

    id: UUID
    proposal_id: UUID
    transaction_id: UUID
    moved_pence: int


@dataclass(frozen=True, slots=True)
class TransactionFacts:
    """A transaction of the ledger whose entries do not sum to zero, or are not as many as its head says."""

    id: UUID
    pence: int
    entries: int
    announced: int


@dataclass(frozen=True, slots=True)
class AgreementFacts:
    """An agreement: the sum of its lines, of its commitments, and what stands on its account, in pence."""

    id: UUID
    lines_pence: int
    commitments: int
    committed_pence: int
    balance_pence: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Proposals, adjustments and the ledger."""

    proposals: dict[UUID, ProposalFacts]
    adjustments: list[AdjustmentFacts]
    #: Outcomes that wait for an agreement.
    waiting: list[UUID]
    agreements: list[AgreementFacts]
    #: Transactions that do not balance.
    unbalanced: list[TransactionFacts]
    #: Sum of all entries of the ledger, in pence; 0 if it balances.
    total_pence: int
    #: Transactions of adjustments that no adjustment tells of.
    unexplained: list[UUID]


async def read(connection: Connection) -> Facts:
    """Read all facts of the stage. Call it in a repeatable-read transaction."""
    proposals = await connection.fetch("select id, agreement_id, outcome_id, pence, state from proposals")
    adjustments = await connection.fetch(
        """
        select a.id, a.proposal_id, a.transaction_id, coalesce(m.pence, 0)::bigint as moved
        from adjustments a left join (
            select e.transaction_id, sum(e.pence) as pence
            from ledger_entries e join ledger_accounts c on c.id = e.account_id and c.kind = 'committed'
            group by e.transaction_id
        ) m using (transaction_id)"""
    )
    waiting = await connection.fetch("select outcome_id from waiting_outcomes")
    agreements = await connection.fetch(
        """
        select a.id, l.pence as lines, coalesce(t.number, 0) as commitments, coalesce(t.pence, 0) as committed,
               coalesce(b.balance_pence, 0)::bigint as balance
        from agreements a
        left join (select agreement_id, sum(amount_pence)::bigint as pence from agreement_lines group by 1) l
            on l.agreement_id = a.id
        left join (
            select t.agreement_id, count(distinct t.id) as number, sum(e.pence)::bigint as pence
            from ledger_transactions t
            join ledger_entries e on e.transaction_id = t.id
            join ledger_accounts c on c.id = e.account_id and c.kind = 'committed'
            where t.kind = 'commitment' group by t.agreement_id
        ) t on t.agreement_id = a.id
        left join ledger_balances b on b.agreement_id = a.id and b.kind = 'committed'"""
    )
    unbalanced = await connection.fetch(
        """
        select t.id, coalesce(sum(e.pence), 0)::bigint as pence, count(e.line) as entries, t.entry_count as announced
        from ledger_transactions t left join ledger_entries e on e.transaction_id = t.id
        group by t.id having coalesce(sum(e.pence), 0) <> 0 or count(e.line) <> t.entry_count"""
    )
    unexplained = await connection.fetch(
        """
        select t.id from ledger_transactions t left join adjustments a on a.transaction_id = t.id
        where t.kind <> 'commitment' and a.id is null"""
    )
    return Facts(
        proposals={
            row["id"]: ProposalFacts(
                row["id"], row["agreement_id"], row["outcome_id"], row["pence"], ProposalState(row["state"])
            )
            for row in proposals
        },
        adjustments=[AdjustmentFacts(*row) for row in adjustments],
        waiting=[row["outcome_id"] for row in waiting],
        agreements=[AgreementFacts(*row) for row in agreements],
        unbalanced=[TransactionFacts(*row) for row in unbalanced],
        total_pence=await connection.fetchval("select coalesce(sum(pence), 0)::bigint from ledger_entries"),
        unexplained=[row["id"] for row in unexplained],
    )
