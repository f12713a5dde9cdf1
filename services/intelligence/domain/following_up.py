"""Following a concern up: registers, effectiveness checks, exit conditions, and training suspended and restored.

Each function gives the concern after a command and the event that tells of it. They raise NotInThisState for what does
not fit the concern's state, and RuleBroken, naming the field, for what a rule forbids.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from services.intelligence.domain.concern import Concern
from services.intelligence.domain.standing import ExitCondition, Suspension
from shared.contracts.concerns import (
    ConcernDeEscalated,
    ConcernEscalated,
    ExitConditionSet,
    ExitConditionSettled,
    ExitConditionState,
    Register,
)
from shared.contracts.training import RestorationReason, SuspensionReason, TrainingRestored, TrainingSuspended
from shared.rules import RuleBroken


@dataclass(frozen=True, slots=True)
class Restoration:
    """The end of a suspension of training."""

    suspension: Suspension
    reason: RestorationReason
    restored_on: date


def escalate(concern: Concern, register: Register, on: date, *, why: str) -> tuple[Concern, ConcernEscalated]:
    """Put a concern on a register or under enhanced monitoring."""
    concern.require_not_before_raised("escalated_on", on)
    before = concern.life.standing(register).state
    escalated = concern.moved(concern.life.escalate(register, on, why))
    assert escalated.category is not None  # only a rated concern is escalated
    event = ConcernEscalated(
        **_named(concern),
        register_kind=register,
        previous_state=before,
        category=escalated.category,
        escalated_on=on,
    )
    return escalated, event


def de_escalate(
    concern: Concern, register: Register, on: date, *, why: str, conditionally: bool
) -> tuple[Concern, ConcernDeEscalated]:
    """Take a concern off a register, for good or on the conditions that are still open."""
    checked_on = concern.life.standing(register).checked_on
    life = concern.life.de_escalate(register, on, why, conditionally=conditionally)
    assert checked_on is not None  # without an effective check the machine refuses
    event = ConcernDeEscalated(
        **_named(concern),
        register_kind=register,
        state=life.standing(register).state,
        category=life.category,
        de_escalated_on=on,
        effectiveness_checked_on=checked_on,
        open_conditions=sum(one.state is ExitConditionState.OPEN for one in life.conditions_of(register)),
    )
    return concern.moved(life), event


def set_condition(concern: Concern, condition: ExitCondition, *, why: str) -> tuple[Concern, ExitConditionSet]:
    """Make leaving a register depend on a condition."""
    changed = concern.moved(concern.life.set_condition(condition, why))
    return changed, ExitConditionSet(**_named(concern), **_condition(condition), set_on=condition.set_on)


def settle_condition(
    concern: Concern, condition_id: UUID, state: ExitConditionState, on: date, *, why: str
) -> tuple[Concern, ExitConditionSettled]:
    """Say that an exit condition was met, missed or withdrawn."""
    before = concern.life.condition(condition_id)
    if before is None:
        raise RuleBroken("condition_id", f"{concern.reference} has no exit condition {condition_id}")
    life = concern.life.settle_condition(condition_id, state, on, why)
    event = ExitConditionSettled(
        **_named(concern),
        **_condition(before),
        state=state,
        previous_state=before.state,
        register_state=life.standing(before.register).state,
        settled_on=on,
    )
    return concern.moved(life), event


def suspend_training(
    concern: Concern, suspension_id: UUID, reason: SuspensionReason, on: date, *, why: str
) -> tuple[Concern, TrainingSuspended]:
    """Suspend training where a concern lies. Source: a last resort, on grounds of quality alone (HEE policy)."""
    concern.require_not_before_raised("suspended_on", on)
    suspension = Suspension(suspension_id, reason, on)
    suspended = concern.moved(concern.life.suspend_training(suspension, why))
    event = TrainingSuspended(**_suspended(concern, suspension), basis=reason.basis, reason=reason, suspended_on=on)
    return suspended, event


def restore_training(
    concern: Concern, reason: RestorationReason, on: date, *, why: str
) -> tuple[Concern, Restoration, TrainingRestored]:
    """End the suspension of training where a concern lies."""
    suspension = concern.life.suspension
    restored = concern.moved(concern.life.restore_training(on, why))
    assert suspension is not None  # training that is not suspended cannot be restored
    event = TrainingRestored(
        **_suspended(concern, suspension),
        basis=reason.basis,
        reason=reason,
        suspended_on=suspension.suspended_on,
        restored_on=on,
    )
    return restored, Restoration(suspension, reason, on), event


def _named(concern: Concern) -> dict[str, Any]:
    return {"concern_id": concern.id, "reference": concern.reference, "provider": concern.provider.ref}


def _condition(condition: ExitCondition) -> dict[str, Any]:
    return {
        "condition_id": condition.id,
        "register_kind": condition.register,
        "owner": condition.owner,
        "due_on": condition.due_on,
    }


def _suspended(concern: Concern, suspension: Suspension) -> dict[str, Any]:
    return {
        "concern_id": concern.id,
        "reference": concern.reference,
        "suspension_id": suspension.id,
        **concern.scope_fields(),
    }
