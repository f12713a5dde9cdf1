"""What intelligence says about training that is suspended and restored. Topic ``quality.concerns.v1``.

A suspension is a last resort on grounds of quality. Gaps in a rotation, planned reductions, reconfigurations and posts
left fallow are workforce planning, and no ground for one. So a reason's code always tells the two apart.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.concerns import OfConcern
from shared.contracts.fields import Line, OdsCode, StandardNumber, partner, public
from shared.reference.kinds import LearnerGroup


class TrainingBasis(StrEnum):
    """What a change of training rests on."""

    QUALITY = "quality"
    WORKFORCE_PLANNING = "workforce_planning"


class SuspensionReason(StrEnum):
    """Why training was suspended. Source: HEE policy on the suspension and withdrawal of training."""

    CONFIRMED_UNDERMINING = "confirmed_undermining"
    POOR_SUPERVISION = "poor_supervision"
    INADEQUATE_RESOURCES = "inadequate_resources"
    PATIENT_SAFETY = "patient_safety"
    LEARNER_SAFETY = "learner_safety"
    ROTATION_GAP = "rotation_gap"
    PLANNED_REDUCTION = "planned_reduction"
    RECONFIGURATION = "reconfiguration"
    POST_LEFT_FALLOW = "post_left_fallow"

    @property
    def basis(self) -> TrainingBasis:
        """Whether it is a matter of quality or of workforce planning."""
        return TrainingBasis.WORKFORCE_PLANNING if self in _PLANNED else TrainingBasis.QUALITY


_PLANNED = frozenset(
    {
        SuspensionReason.ROTATION_GAP,
        SuspensionReason.PLANNED_REDUCTION,
        SuspensionReason.RECONFIGURATION,
        SuspensionReason.POST_LEFT_FALLOW,
    }
)


class RestorationReason(StrEnum):
    """Why a suspension of training ended."""

    STANDARDS_MET = "standards_met"
    SUPERVISION_RESTORED = "supervision_restored"
    RESOURCES_PROVIDED = "resources_provided"
    SUSPENDED_IN_ERROR = "suspended_in_error"
    PLACEMENTS_MOVED = "placements_moved"
    """For good: where training was suspended there are no learners any more."""
    SERVICE_RECONFIGURED = "service_reconfigured"

    @property
    def basis(self) -> TrainingBasis:
        """Whether it is a matter of quality or of workforce planning."""
        planned = (RestorationReason.PLACEMENTS_MOVED, RestorationReason.SERVICE_RECONFIGURED)
        return TrainingBasis.WORKFORCE_PLANNING if self in planned else TrainingBasis.QUALITY


class OfSuspension(OfConcern):
    """What both events name of the suspension."""

    suspension_id: UUID = partner("The suspension; the same one when it ends.")
    site_code: OdsCode | None = public("ODS code of the site, if it is about one site.", default=None)
    programme: Line = partner("Specialty or programme.")
    learner_group: LearnerGroup = partner("The learners whose training it is.")
    standard_set: Line = public("Version of the standard set the numbers refer to.")
    standards: Annotated[list[StandardNumber], Field(max_length=60)] = partner(
        "Numbers of the standards of the concern."
    )
    basis: TrainingBasis = partner("Whether quality or workforce planning is behind it.")


class TrainingSuspended(OfSuspension):
    """Training was suspended where a concern lies, as a last resort."""

    reason: SuspensionReason = partner("Why.")
    suspended_on: date = partner("First day without training.")


class TrainingRestored(OfSuspension):
    """A suspension of training ended."""

    reason: RestorationReason = partner("Why.")
    suspended_on: date = partner("First day without training.")
    restored_on: date = partner("First day on which training may go on.")
