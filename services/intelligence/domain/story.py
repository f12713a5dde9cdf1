"""The story of a concern: one sentence for each event about it."""

from uuid import UUID

from shared.contracts.concerns import (
    ConcernClosed,
    ConcernCorrected,
    ConcernDeEscalated,
    ConcernEscalated,
    ConcernMerged,
    ConcernRaised,
    ConcernRated,
    ConcernReopened,
    ExitConditionSet,
    ExitConditionSettled,
    Register,
    RegisterState,
)
from shared.contracts.fields import EventData, FindingKind, Money
from shared.contracts.investments import InvestmentAdjusted, InvestmentDeclined, InvestmentProposed
from shared.contracts.notifications import NotificationDelivered, NotificationFailed
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.training import TrainingRestored, TrainingSuspended
from shared.contracts.visits import VisitCancelled, VisitRequired, VisitScheduled


def sentence(data: EventData) -> str:
    """What an event says of a concern. Names no person."""
    match data:
        case ConcernRaised():
            return f"Raised on {data.raised_on} about {data.programme} at {data.provider.name}."
        case ConcernRated():
            return (
                f"Rated {data.impact} × {data.likelihood} = {data.score} ({data.band}); category {data.category} "
                f"({_words(data.category.name)}) confirmed, {data.suggested_category} suggested."
            )
        case ConcernClosed():
            return f"Closed on {data.closed_on}: {_words(data.reason)}."
        case ConcernReopened():
            return f"Reopened on {data.reopened_on}."
        case ConcernEscalated():
            return f"Put on {_place(data.register_kind)} on {data.escalated_on}."
        case ConcernDeEscalated():
            conditions = f", on {data.open_conditions} conditions" if data.state is not RegisterState.OFF else ""
            return f"Taken off {_place(data.register_kind)} on {data.de_escalated_on}{conditions}."
        case ConcernMerged(merged_reference=str() as reference):
            return f"Concern {reference} was merged into {data.reference} on {data.merged_on}."
        case ConcernMerged():
            return f"A proposed concern was merged into {data.reference} on {data.merged_on}."
        case ConcernCorrected():
            parts = ", ".join(_words(part) for part in data.corrected)
            return f"Corrected on {data.corrected_on}: {parts}."
        case ExitConditionSet():
            return f"Condition for leaving {_place(data.register_kind)}: {_words(data.owner)}, by {data.due_on}."
        case ExitConditionSettled():
            return f"Condition for leaving {_place(data.register_kind)} {data.state} on {data.settled_on}."
        case TrainingSuspended():
            return f"Training suspended from {data.suspended_on}: {_words(data.reason)} ({_words(data.basis)})."
        case TrainingRestored():
            return f"Training restored from {data.restored_on}: {_words(data.reason)} ({_words(data.basis)})."
        case VisitRequired():
            return f"Calls for {_a(data.kind).lower()} by {data.latest_date}."
        case VisitScheduled():
            return f"{_a(data.kind)} is scheduled for {data.visit_date} with a panel of {len(data.panel_roles)}."
        case VisitCancelled():
            return f"The {_words(data.kind)} of {data.visit_date} was cancelled: {_words(data.reason)}."
        case OutcomeRecorded():
            return f"Outcome of the visit of {data.visit_date}: {_findings(data)}."
        case InvestmentProposed():
            return f"Proposed: {_words(data.lever)}, {pounds(data.amount)} in {data.financial_year}."
        case InvestmentAdjusted():
            return f"Approved: {_words(data.lever)}, {pounds(data.amount)} in {data.financial_year}."
        case InvestmentDeclined():
            return f"Declined: {_words(data.lever)}, {pounds(data.amount)} in {data.financial_year}."
        case NotificationDelivered():
            return f"Told by {data.channel}: {_words(data.stakeholder_kind)}."
        case NotificationFailed():
            return f"Could not be told by {data.channel}: {_words(data.stakeholder_kind)} ({_words(data.failure)})."
        case _:
            return "Something happened that this version has no words for."


def concerns_of(data: EventData) -> list[UUID]:
    """The concerns an event is about, each once: the contract lets an event name one twice."""
    single = getattr(data, "concern_id", None)
    if not isinstance(single, UUID):
        return list(dict.fromkeys(getattr(data, "concern_ids", [])))
    if isinstance(data, ConcernMerged) and data.merged_concern_id is not None:
        return [single, data.merged_concern_id]
    return [single]


def pounds(amount: Money) -> str:
    """A sum as people read it: −£1,234.50."""
    sign = "−" if amount.pence < 0 else ""
    return f"{sign}£{abs(amount.pence) // 100:,}.{abs(amount.pence) % 100:02}"


def _place(register: Register) -> str:
    return _words(register) if register is Register.ENHANCED_MONITORING else f"the {_words(register)}"


def _words(name: str) -> str:
    return name.replace("_", " ").lower()


def _a(name: str) -> str:
    return f"{'An' if name[0].lower() in 'aeiou' and not name.startswith('uni') else 'A'} {_words(name)}"


def _findings(data: OutcomeRecorded) -> str:
    counts = [(kind, sum(finding.kind is kind for finding in data.findings)) for kind in FindingKind]
    return ", ".join(f"{count} {_words(kind)}" for kind, count in counts if count) or "no findings"
