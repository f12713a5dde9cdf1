"""What funding says about investment in a provider. Topic ``quality.investments.v1``."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.fields import (
    AdjustmentReason,
    ConcernIds,
    EventData,
    FinancialYearLabel,
    Lever,
    Line,
    Money,
    ProviderRef,
    partner,
    public,
)

ReasonCodes = Annotated[list[Line], Field(min_length=1, max_length=50)]


class Investment(EventData):
    """What a proposal and what follows from it have in common."""

    proposal_id: UUID = partner("The proposal.")
    provider: ProviderRef = public("The provider whose investment it is about.")
    agreement_id: UUID = partner("The funding agreement it changes.")
    financial_year: FinancialYearLabel = public("Financial year of the agreement.")
    lever: Lever = partner("What is done with the investment.")
    amount: Money = partner("Change of the year's investment; negative is money taken away.")
    reason: AdjustmentReason = partner("Tells quality from workforce planning.")
    outcome_id: UUID | None = partner("Outcome it follows from; none if a person proposed it.", default=None)
    concern_ids: ConcernIds = partner("Concerns behind it.")


class InvestmentProposed(Investment):
    """An adjustment was proposed, by the policy or by a person, and waits for another person's approval."""

    policy_version: Line | None = partner("Version of the policy; none if a person proposed it.", default=None)
    reasons: ReasonCodes = partner("Rules of the policy that led to the amount, in the order applied.")
    proposed_on: date = partner("Day of the proposal.")


class InvestmentAdjusted(Investment):
    """A proposal was approved by a second person and posted to the ledger."""

    adjustment_id: UUID = partner("The adjustment.")
    ledger_transaction_id: UUID = partner("Transaction in funding's ledger that holds its entries.")
    effective_on: date = partner("Day from which it counts.")


class InvestmentDeclined(Investment):
    """A proposal was declined; no money moves."""

    declined_on: date = partner("Day of the decision.")
