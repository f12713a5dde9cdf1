"""Proposed adjustments: where they come from, and who may decide on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from services.funding.domain import levers, policy, standing
from services.funding.domain.agreements import Agreement
from services.funding.domain.errors import RuleBroken
from services.funding.domain.policy import Policy
from services.funding.domain.standing import Standing
from shared.contracts.fields import AdjustmentReason, Lever
from shared.contracts.outcomes import OutcomeRecorded
from shared.reference.financial_year import FinancialYear

#: Stands among the reasons of a proposal that no rule of a policy led to.
BY_HAND = "proposed-by-hand"


class ProposalState(StrEnum):
    """Where a proposal stands. Only an open one can be decided."""

    OPEN = "open"
    APPROVED = "approved"
    DECLINED = "declined"
    #: Taken back by the person who proposed it.
    WITHDRAWN = "withdrawn"


class SamePerson(Exception):
    """The decision belongs to another person."""


class AlreadyDecided(Exception):
    """The proposal is not open any more."""


class InvalidEffectiveDay(RuleBroken):
    """An adjustment cannot count from before the year it changes."""


@dataclass(frozen=True, slots=True)
class FromOutcome:
    """What a proposal that the policy made follows from."""

    outcome_id: UUID
    #: Id of the event that brought the outcome.
    event_id: UUID
    #: Keyed pseudonym of who recorded the outcome.
    recorded_by: str
    policy_version: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """An adjustment that waits for a decision, or has one. Exactly one of ``proposed_by`` and ``origin`` is set."""

    id: UUID
    agreement_id: UUID
    lever: Lever
    #: Negative is money taken from the provider.
    pence: int
    reason: AdjustmentReason
    #: Codes of what led to the amount, in the order applied.
    reasons: tuple[str, ...]
    concern_ids: tuple[UUID, ...]
    #: The concern that started the cycle, or the proposal itself.
    correlation_id: UUID
    proposed_at: datetime
    proposed_by: str | None = None
    note: str | None = None
    origin: FromOutcome | None = None
    state: ProposalState = ProposalState.OPEN
    decided_by: str | None = None
    decided_at: datetime | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class Adjustment:
    """An approved proposal."""

    id: UUID
    proposal_id: UUID
    transaction_id: UUID
    effective_on: date
    approved_by: str
    approved_at: datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """An outcome as it arrived, with the ids that what follows from it will have."""

    outcome: OutcomeRecorded
    event_id: UUID
    correlation_id: UUID
    proposal_id: UUID

    @property
    def provider_and_year(self) -> tuple[str, str]:
        """The ODS code and the financial year of the visit: they name the agreement it bears on."""
        return self.outcome.provider.ods_code, FinancialYear.of(self.outcome.visit_date).label


def from_outcome(
    arrival: Arrival, agreement: Agreement, agreement_standing: Standing, rules: Policy, now: datetime
) -> Proposal:
    """What the policy proposes for an outcome."""
    outcome = arrival.outcome
    result = policy.decide(
        rules,
        [finding.kind for finding in outcome.findings],
        outcome.highest_category,
        total_pence=agreement_standing.committed_pence,
        remaining_pence=agreement_standing.remaining_pence,
    )
    return Proposal(
        id=arrival.proposal_id,
        agreement_id=agreement.id,
        lever=result.lever,
        pence=result.pence,
        reason=result.reason,
        reasons=result.reasons,
        concern_ids=tuple(outcome.concern_ids),
        correlation_id=arrival.correlation_id,
        proposed_at=now,
        origin=FromOutcome(outcome.outcome_id, arrival.event_id, outcome.recorded_by, rules.version),
    )


def by_hand(
    *,
    proposal_id: UUID,
    agreement: Agreement,
    agreement_standing: Standing,
    lever: Lever,
    pence: int,
    reason: AdjustmentReason,
    concern_ids: Sequence[UUID],
    note: str,
    proposed_by: str,
    now: datetime,
) -> Proposal:
    """What a person proposes. Raises RuleBroken if amount, lever, reason and the agreement do not fit together."""
    levers.check(lever, pence, reason)
    standing.check_fits(agreement_standing, lever, pence)
    concerns = tuple(dict.fromkeys(concern_ids))
    return Proposal(
        id=proposal_id,
        agreement_id=agreement.id,
        lever=lever,
        pence=pence,
        reason=reason,
        reasons=(BY_HAND,),
        concern_ids=concerns,
        correlation_id=concerns[0] if concerns else proposal_id,
        proposed_at=now,
        proposed_by=proposed_by,
        note=note,
    )


def check_may_decide(proposal: Proposal, *, subject: str, pseudonym: str) -> None:
    """Money changes by the decision of a second person: neither the proposer nor, where the proposal follows from an
    outcome, the person who recorded that. Raises SamePerson."""
    if subject == proposal.proposed_by:
        raise SamePerson("You proposed this adjustment; another person must decide on it. You may withdraw it.")
    if proposal.origin is not None and pseudonym == proposal.origin.recorded_by:
        raise SamePerson("You recorded the outcome this adjustment follows from; another person must decide on it.")


def approve(proposal: Proposal, agreement_standing: Standing, *, by: str, now: datetime) -> Proposal:
    """The proposal, approved. Raises AlreadyDecided, or DoesNotFitStanding if the money is not there any more."""
    _check_open(proposal)
    standing.check_fits(agreement_standing, proposal.lever, proposal.pence)
    return _decided(proposal, ProposalState.APPROVED, by, now)


def decline(proposal: Proposal, *, by: str, now: datetime) -> Proposal:
    """The proposal, declined; or withdrawn, if it is the proposer who does so. Raises AlreadyDecided."""
    _check_open(proposal)
    state = ProposalState.WITHDRAWN if by == proposal.proposed_by else ProposalState.DECLINED
    return _decided(proposal, state, by, now)


def effective_day(year: FinancialYear, wanted: date | None, today: date) -> date:
    """The day from which an adjustment counts: the one wanted, or today, and never before the year begins.

    Raises InvalidEffectiveDay.
    """
    if wanted is None:
        return max(today, year.start)
    if wanted < year.start:
        raise InvalidEffectiveDay(
            f"An adjustment of {year} cannot count from before {year.start}; choose a later day.", field="effective_on"
        )
    return wanted


def _check_open(proposal: Proposal) -> None:
    if proposal.state is not ProposalState.OPEN:
        raise AlreadyDecided(f"This proposal is {proposal.state.value} already; propose anew to change what holds.")


def _decided(proposal: Proposal, state: ProposalState, by: str, now: datetime) -> Proposal:
    return replace(proposal, state=state, decided_by=by, decided_at=now, version=proposal.version + 1)
