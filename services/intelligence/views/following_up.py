"""Registers, effectiveness checks, exit conditions and suspended training, as they are taken and answered."""

from datetime import date
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field

from services.intelligence.domain.standing import CheckState, ExitCondition, Standing
from services.intelligence.store.concern_life import ListedCondition, PastSuspension
from services.intelligence.views.bodies import Body
from shared.contracts.concerns import ExitConditionOwner, ExitConditionState, Register, RegisterState
from shared.contracts.fields import Day, Prose
from shared.contracts.training import RestorationReason, SuspensionReason, TrainingBasis

Why = Annotated[Prose, Field(description="Why.", examples=["Supervision at night is missing on two sites."])]
RegisterKind = Annotated[
    Register,
    Field(description="Which of the three.", examples=["national_register"]),
]


class Escalate(Body):
    """A register to put a concern on."""

    register_kind: RegisterKind
    escalated_on: Day | None = Field(default=None, description="Day on which it is put there; today if left out.")
    rationale: Why


class DeEscalate(Body):
    """A register to take a concern off."""

    register_kind: RegisterKind
    conditionally: bool = Field(
        default=False, description="On the exit conditions that are still open. Without any: false."
    )
    de_escalated_on: Day | None = Field(default=None, description="Day on which it is taken off; today if left out.")
    rationale: Why


class PlanCheck(Body):
    """By when it is to be checked that what was done is effective."""

    register_kind: RegisterKind
    due_on: Day = Field(description="Last day for the check.", examples=["2026-11-30"])
    rationale: Why


class RecordCheck(Body):
    """What an effectiveness check found."""

    register_kind: RegisterKind
    effective: bool = Field(description="True if what was done is effective and lasts.", examples=[True])
    checked_on: Day | None = Field(default=None, description="Day of the check; today if left out.")
    rationale: Why


class SetCondition(Body):
    """A condition for leaving a register."""

    register_kind: RegisterKind
    wording: Prose = Field(
        description="What has to be reached. Stays in this service.",
        examples=["At least 40 % of the learners answer the survey."],
    )
    owner: ExitConditionOwner = Field(
        description="The part of whoever has to see to it; never a person.", examples=["education_lead"]
    )
    due_on: Day = Field(description="Last day on which it can be met in time.", examples=["2026-12-31"])
    rationale: Why


class SettleCondition(Body):
    """What has become of an exit condition."""

    state: Literal[ExitConditionState.MET, ExitConditionState.MISSED, ExitConditionState.WITHDRAWN] = Field(
        description="Met, missed or withdrawn. One that was missed can still be met.", examples=["met"]
    )
    settled_on: Day | None = Field(default=None, description="Day on which it was; today if left out.")
    rationale: Why


class SuspendTraining(Body):
    """Why training is suspended where a concern lies."""

    reason: SuspensionReason = Field(
        description="On which ground. Those of workforce planning are refused: they are none for a suspension.",
        examples=["poor_supervision"],
    )
    suspended_on: Day | None = Field(default=None, description="First day without training; today if left out.")
    rationale: Why


class RestoreTraining(Body):
    """Why a suspension of training ends."""

    reason: RestorationReason = Field(description="Why.", examples=["supervision_restored"])
    restored_on: Day | None = Field(
        default=None, description="First day on which training may go on; today if left out."
    )
    rationale: Why


class RegisterView(BaseModel):
    """How a concern stands in one register."""

    register_kind: Register = Field(description="Which of the three.")
    state: RegisterState = Field(description="On, off, or removed on conditions that are not all settled.")
    since: date | None = Field(description="First day of this state; null if it was never on.")
    effectiveness_check: CheckState = Field(description="What is known of whether what was done is effective.")
    check_due_on: date | None = Field(description="Last day for the check, if one was planned.")
    checked_on: date | None = Field(description="Day of the check's result, if there is one that counts.")

    @classmethod
    def of(cls, standing: Standing) -> Self:
        """The view of a standing."""
        return cls(
            register_kind=standing.register,
            state=standing.state,
            since=standing.since,
            effectiveness_check=standing.check,
            check_due_on=standing.check_due_on,
            checked_on=standing.checked_on,
        )


class ExitConditionView(BaseModel):
    """A condition for leaving a register."""

    id: UUID = Field(description="Its id.")
    register_kind: Register = Field(description="The register.")
    wording: str = Field(description="What has to be reached.")
    owner: ExitConditionOwner = Field(description="The part of whoever has to see to it.")
    set_on: date = Field(description="Day on which it was set.")
    due_on: date = Field(description="Last day on which it can be met in time.")
    state: ExitConditionState = Field(description="Open, met, missed or withdrawn.")
    settled_on: date | None = Field(description="Day on which it was, unless it is open.")

    @classmethod
    def of(cls, condition: ExitCondition) -> Self:
        """The view of a condition."""
        return cls(
            id=condition.id,
            register_kind=condition.register,
            wording=condition.wording,
            owner=condition.owner,
            set_on=condition.set_on,
            due_on=condition.due_on,
            state=condition.state,
            settled_on=condition.settled_on,
        )


class ListedConditionView(ExitConditionView):
    """A condition for leaving a register, with the concern it is of."""

    concern_id: UUID = Field(description="The concern.")
    reference: str = Field(description="Its reference.")
    provider_code: str = Field(description="ODS code of the provider.")

    @classmethod
    def listed(cls, one: ListedCondition) -> Self:
        """The view of a condition in a list."""
        return cls(
            **ExitConditionView.of(one.condition).model_dump(),
            concern_id=one.concern_id,
            reference=one.reference,
            provider_code=one.provider_code,
        )


class SuspensionView(BaseModel):
    """A suspension of training, with its end if it has ended."""

    id: UUID = Field(description="Its id.")
    reason: SuspensionReason = Field(description="On which ground.")
    basis: TrainingBasis = Field(description="Quality or workforce planning.")
    suspended_on: date = Field(description="First day without training.")
    restored_on: date | None = Field(description="First day on which training may go on, if it may.")
    restoration_reason: RestorationReason | None = Field(description="Why it ended.")
    restoration_basis: TrainingBasis | None = Field(description="Quality or workforce planning behind its end.")

    @classmethod
    def of(cls, suspension: PastSuspension) -> Self:
        """The view of a suspension."""
        ended = suspension.restoration_reason
        return cls(
            id=suspension.id,
            reason=suspension.reason,
            basis=suspension.reason.basis,
            suspended_on=suspension.suspended_on,
            restored_on=suspension.restored_on,
            restoration_reason=ended,
            restoration_basis=ended.basis if ended else None,
        )
