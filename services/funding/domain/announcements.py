"""What the other stages are told of a proposal."""

from datetime import date
from typing import Any

from services.funding.domain.agreements import Agreement
from services.funding.domain.proposals import Adjustment, Proposal
from shared.contracts.fields import Money
from shared.contracts.investments import InvestmentAdjusted, InvestmentDeclined, InvestmentProposed
from shared.reference.office_day import office_day


def proposed(proposal: Proposal, agreement: Agreement) -> InvestmentProposed:
    """An adjustment waits for another person's approval."""
    return InvestmentProposed(
        **_common(proposal, agreement),
        policy_version=proposal.origin.policy_version if proposal.origin else None,
        reasons=list(proposal.reasons),
        proposed_on=office_day(proposal.proposed_at),
    )


def adjusted(proposal: Proposal, agreement: Agreement, adjustment: Adjustment) -> InvestmentAdjusted:
    """A proposal was approved and posted to the ledger."""
    return InvestmentAdjusted(
        **_common(proposal, agreement),
        adjustment_id=adjustment.id,
        ledger_transaction_id=adjustment.transaction_id,
        effective_on=adjustment.effective_on,
    )


def declined(proposal: Proposal, agreement: Agreement, on: date) -> InvestmentDeclined:
    """A proposal was declined or withdrawn; no money moves."""
    return InvestmentDeclined(**_common(proposal, agreement), declined_on=on)


def _common(proposal: Proposal, agreement: Agreement) -> dict[str, Any]:
    return {
        "proposal_id": proposal.id,
        "provider": agreement.provider,
        "agreement_id": agreement.id,
        "financial_year": agreement.year.label,
        "lever": proposal.lever,
        "amount": Money(pence=proposal.pence),
        "reason": proposal.reason,
        "outcome_id": proposal.origin.outcome_id if proposal.origin else None,
        "concern_ids": list(proposal.concern_ids),
    }
