"""The story of a concern: one sentence for each event about it."""

from uuid import UUID

from shared.contracts.concerns import ConcernClosed, ConcernRaised, ConcernRated, ConcernReopened
from shared.contracts.fields import EventData, FindingKind, Money
from shared.contracts.investments import InvestmentAdjusted, InvestmentDeclined, InvestmentProposed
from shared.contracts.notifications import NotificationDelivered, NotificationFailed
from shared.contracts.outcomes import OutcomeRecorded
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
    return [single] if isinstance(single, UUID) else list(dict.fromkeys(getattr(data, "concern_ids", [])))


def pounds(amount: Money) -> str:
    """A sum as people read it: −£1,234.50."""
    sign = "−" if amount.pence < 0 else ""
    return f"{sign}£{abs(amount.pence) // 100:,}.{abs(amount.pence) % 100:02}"


def _words(name: str) -> str:
    return name.replace("_", " ").lower()


def _a(name: str) -> str:
    return f"{'An' if name[0].lower() in 'aeiou' and not name.startswith('uni') else 'A'} {_words(name)}"


def _findings(data: OutcomeRecorded) -> str:
    counts = [(kind, sum(finding.kind is kind for finding in data.findings)) for kind in FindingKind]
    return ", ".join(f"{count} {_words(kind)}" for kind, count in counts if count) or "no findings"
