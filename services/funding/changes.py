"""The history of a proposal: who changed it, why, and the event that told of it."""

from uuid import UUID

from services.funding.domain.proposals import Proposal
from shared.contracts.fields import EventData
from shared.contracts.investments import InvestmentAdjusted, InvestmentDeclined, InvestmentProposed
from shared.contracts.registry import by_model
from shared.persistence.history import Change


def proposed(proposal: Proposal, event_id: UUID) -> Change:
    """It was proposed, by a person or as a reaction to an outcome."""
    actor = f"event:{proposal.origin.event_id}" if proposal.origin else str(proposal.proposed_by)
    return _change(proposal, actor, proposal.note, InvestmentProposed, event_id)


def adjusted(proposal: Proposal, event_id: UUID, reason: str | None) -> Change:
    """It was approved, and the money moved."""
    return _change(proposal, str(proposal.decided_by), reason, InvestmentAdjusted, event_id)


def declined(proposal: Proposal, event_id: UUID, reason: str) -> Change:
    """It was declined or withdrawn."""
    return _change(proposal, str(proposal.decided_by), reason, InvestmentDeclined, event_id)


def _change(proposal: Proposal, actor: str, reason: str | None, event: type[EventData], event_id: UUID) -> Change:
    return Change(
        aggregate="proposal",
        aggregate_id=str(proposal.id),
        version=proposal.version,
        at=proposal.decided_at or proposal.proposed_at,
        actor=actor,
        change="proposed" if event is InvestmentProposed else proposal.state.value,
        reason=reason,
        # Kept here for good: the outbox forgets an event some time after it was sent.
        detail={"event_id": str(event_id), "event_type": by_model(event).type},
    )
