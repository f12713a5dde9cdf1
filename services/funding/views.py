"""What the funding stage answers. Money is integer pence; negative is money taken from the provider."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.funding.domain.agreements import Agreement
from services.funding.domain.ledger import AccountKind, TransactionKind
from services.funding.domain.proposals import Adjustment, Proposal, ProposalState
from services.funding.domain.standing import Standing
from services.funding.store.ledger import AccountBalance, PostedTransaction
from services.funding.store.waiting import Waiting
from shared.contracts.fields import AdjustmentReason, Category, Lever
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.registry import by_model
from shared.reference.kinds import ProviderKind
from shared.reference.tariff_groups import TariffGroup
from shared.web.changes import ChangeView


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class ProviderView(_View):
    """The provider as events name it; as it was written on the agreement until an event has named it."""

    ods_code: str = Field(description="Code in the NHS Organisation Data Service.", examples=["FICTHT001"])
    name: str = Field(description="Name.", examples=["Fenbrook University Hospitals (fictional)"])
    kind: ProviderKind = Field(description="Kind of provider.")


class LineView(_View):
    """The year's amount for one tariff group."""

    tariff_group: TariffGroup = Field(description="Tariff group.")
    amount_pence: int = Field(description="Amount for the year, in pence.", examples=[1_250_000_00])


class LeverTotal(_View):
    """What one lever has moved of an agreement."""

    lever: Lever = Field(description="The lever.")
    pence: int = Field(description="Net change by it, in pence.", examples=[-3_750_000])


class AgreementView(_View):
    """A funding agreement and how it stands."""

    id: UUID = Field(description="The agreement.")
    provider: ProviderView = Field(description="Whom it funds.")
    financial_year: str = Field(description="Year, 1 April to 31 March.", examples=["2024-25"])
    signed_on: date = Field(description="Day of signature.")
    lines: list[LineView] = Field(description="Amounts by tariff group.")
    committed_pence: int = Field(description="Sum of the lines: what was agreed.", examples=[1_250_000_00])
    adjusted_pence: int = Field(description="Sum of the adjustments so far.", examples=[-3_750_000])
    remaining_pence: int = Field(description="What is left; never below zero.", examples=[1_212_500_00])
    by_lever: list[LeverTotal] = Field(description="What each lever has moved, from mild to severe.")
    version: int = Field(description="Version, as in the ETag.")


class AgreementDetail(AgreementView):
    """A funding agreement with its history."""

    history: list[ChangeView] = Field(description="All changes, oldest first.")


class AdjustmentView(_View):
    """What an approved proposal became."""

    id: UUID = Field(description="The adjustment.")
    ledger_transaction_id: UUID = Field(description="Transaction of the ledger that records it.")
    effective_on: date = Field(description="Day from which it counts.")
    approved_by: str = Field(description="Opaque staff id.")
    approved_at: datetime = Field(description="When it was approved.")


class ProposalView(_View):
    """A proposed adjustment and what became of it."""

    id: UUID = Field(description="The proposal.")
    state: ProposalState = Field(description="Where it stands.")
    provider: ProviderView = Field(description="Whose investment would change.")
    agreement_id: UUID = Field(description="The agreement it would change.")
    financial_year: str = Field(description="Year of the agreement.", examples=["2024-25"])
    lever: Lever = Field(description="What would be done.")
    amount_pence: int = Field(description="Change of the year's investment.", examples=[-3_750_000])
    reason: AdjustmentReason = Field(description="Tells quality from workforce planning.")
    reasons: list[str] = Field(
        description="Codes of what led to the amount, in the order applied.",
        examples=[["requirement", "immediate-mandatory-requirement"]],
    )
    policy_version: str | None = Field(description="Version of the policy; null if a person proposed it.")
    outcome_id: UUID | None = Field(description="Outcome it follows from; null if a person proposed it.")
    concern_ids: list[UUID] = Field(description="Concerns behind it.")
    note: str | None = Field(description="The proposer's words.")
    proposed_by: str | None = Field(description="Opaque staff id; null if the policy proposed it.")
    proposed_at: datetime = Field(description="When it was proposed.")
    decided_by: str | None = Field(description="Opaque staff id; null while it is open.")
    decided_at: datetime | None = Field(description="When it was decided; null while it is open.")
    adjustment: AdjustmentView | None = Field(description="The adjustment, if it was approved.")
    version: int = Field(description="Version, as in the ETag.")


class EventView(_View):
    """An event behind a proposal, or told of it."""

    id: UUID = Field(description="Id of the event.")
    type: str = Field(description="CloudEvents type.", examples=["uk.nhs.quality.investment.proposed.v1"])


class ProposalDetail(ProposalView):
    """A proposal with its history and its events."""

    history: list[ChangeView] = Field(description="All changes, oldest first.")
    events: list[EventView] = Field(description="The event it follows from and those that told of it, oldest first.")


class WaitingOutcomeView(_View):
    """An outcome that waits for the agreement of its year."""

    outcome_id: UUID = Field(description="The outcome.")
    visit_id: UUID = Field(description="The visit.")
    provider: ProviderView = Field(description="The provider visited.")
    financial_year: str = Field(description="Year of the visit: an agreement for it is missing.")
    visit_date: date = Field(description="Day of the visit.")
    highest_category: Category | None = Field(description="Highest category among the concerns.")
    findings: int = Field(description="How many findings it has.")
    concern_ids: list[UUID] = Field(description="Concerns the visit looked into.")
    received_at: datetime = Field(description="Since when it waits.")


class AccountView(_View):
    """An account of the ledger."""

    code: str = Field(description="`budget`, or kind, provider and year.", examples=["withheld:FICTHT001:2024-25"])
    kind: AccountKind = Field(description="Its place in the chart of accounts.")
    agreement_id: UUID | None = Field(description="Agreement it belongs to; null for the budget.")
    balance_pence: int = Field(description="Sum of its entries: positive is a debit.", examples=[3_750_000])


class EntryView(_View):
    """A line of a transaction."""

    account: str = Field(description="Code of the account.")
    pence: int = Field(description="Debit if positive, credit if negative.")


class TransactionView(_View):
    """A transaction of the ledger. Its entries sum to zero; a memo has none."""

    id: UUID = Field(description="The transaction.")
    kind: TransactionKind = Field(description="What it records.")
    agreement_id: UUID = Field(description="The agreement.")
    proposal_id: UUID | None = Field(description="The approved proposal; null for a commitment.")
    adjustment_id: UUID | None = Field(description="The adjustment; null for a commitment.")
    effective_on: date = Field(description="Day from which it counts.")
    posted_at: datetime = Field(description="When it was posted.")
    posted_by: str = Field(description="Opaque staff id.")
    entries: list[EntryView] = Field(description="Debits and credits.")


class BalanceView(_View):
    """Whether the ledger balances."""

    balanced: bool = Field(description="True if every transaction, and so the whole, sums to zero.")
    sum_pence: int = Field(description="Sum of all entries; 0 if it balances.", examples=[0])


def agreement(found: Agreement, standing: Standing) -> AgreementView:
    """An agreement as it is answered."""
    return AgreementView(
        id=found.id,
        provider=ProviderView.model_validate(found.provider),
        financial_year=found.year.label,
        signed_on=found.signed_on,
        lines=[LineView.model_validate(line) for line in found.lines],
        committed_pence=standing.committed_pence,
        adjusted_pence=standing.adjusted_pence,
        remaining_pence=standing.remaining_pence,
        by_lever=[
            LeverTotal(lever=lever, pence=standing.by_lever[lever]) for lever in Lever if lever in standing.by_lever
        ],
        version=found.version,
    )


def agreement_detail(found: Agreement, standing: Standing, history: Sequence[ChangeView]) -> AgreementDetail:
    """An agreement with its history."""
    return AgreementDetail(**dict(agreement(found, standing)), history=list(history))


def proposal(found: Proposal, of: Agreement, adjustment: Adjustment | None) -> ProposalView:
    """A proposal as it is answered."""
    return ProposalView(
        id=found.id,
        state=found.state,
        provider=ProviderView.model_validate(of.provider),
        agreement_id=of.id,
        financial_year=of.year.label,
        lever=found.lever,
        amount_pence=found.pence,
        reason=found.reason,
        reasons=list(found.reasons),
        policy_version=found.origin.policy_version if found.origin else None,
        outcome_id=found.origin.outcome_id if found.origin else None,
        concern_ids=list(found.concern_ids),
        note=found.note,
        proposed_by=found.proposed_by,
        proposed_at=found.proposed_at,
        decided_by=found.decided_by,
        decided_at=found.decided_at,
        adjustment=AdjustmentView(
            id=adjustment.id,
            ledger_transaction_id=adjustment.transaction_id,
            effective_on=adjustment.effective_on,
            approved_by=adjustment.approved_by,
            approved_at=adjustment.approved_at,
        )
        if adjustment
        else None,
        version=found.version,
    )


def proposal_detail(
    found: Proposal, of: Agreement, adjustment: Adjustment | None, history: Sequence[ChangeView]
) -> ProposalDetail:
    """A proposal with its history and its events."""
    events = [EventView(id=change.detail["event_id"], type=change.detail["event_type"]) for change in history]
    if found.origin is not None:
        events.insert(0, EventView(id=found.origin.event_id, type=by_model(OutcomeRecorded).type))
    return ProposalDetail(**dict(proposal(found, of, adjustment)), history=list(history), events=events)


def waiting_outcome(found: Waiting) -> WaitingOutcomeView:
    """A waiting outcome as it is answered."""
    outcome = found.arrival.outcome
    return WaitingOutcomeView(
        outcome_id=outcome.outcome_id,
        visit_id=outcome.visit_id,
        provider=ProviderView.model_validate(outcome.provider),
        financial_year=found.arrival.provider_and_year[1],
        visit_date=outcome.visit_date,
        highest_category=outcome.highest_category,
        findings=len(outcome.findings),
        concern_ids=outcome.concern_ids,
        received_at=found.received_at,
    )


def account(found: AccountBalance) -> AccountView:
    """An account as it is answered."""
    return AccountView.model_validate(found)


def transaction(found: PostedTransaction) -> TransactionView:
    """A transaction as it is answered."""
    return TransactionView.model_validate(found)
