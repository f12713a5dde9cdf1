"""What intelligence says about concerns. Topic ``quality.concerns.v1``."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.fields import (
    Category,
    EventData,
    Line,
    OdsCode,
    Origin,
    ProviderRef,
    RiskBand,
    StandardNumber,
    internal,
    partner,
    public,
)
from shared.reference.kinds import LearnerGroup, SourceKind


class ClosureReason(StrEnum):
    """Why a concern was closed."""

    RESOLVED = "resolved"
    NOT_UPHELD = "not_upheld"
    MERGED = "merged"
    TRANSFERRED = "transferred"


class Overseer(StrEnum):
    """Who beyond the office is to hear of a significant concern."""

    NATIONAL_TEAM = "national_team"
    GMC = "gmc"
    """The General Medical Council."""


class Register(StrEnum):
    """The three places in which a concern is followed up; each opens and closes without regard to the others."""

    REGIONAL_REGISTER = "regional_register"
    NATIONAL_REGISTER = "national_register"
    ENHANCED_MONITORING = "enhanced_monitoring"
    """Of the General Medical Council: for serious, persistent concerns that local processes did not resolve."""


class RegisterState(StrEnum):
    """How a concern stands in one of the three."""

    OFF = "off"
    ON = "on"
    REMOVED_CONDITIONALLY = "removed_conditionally"
    """Taken off on conditions that are still to be met."""


class ExitConditionState(StrEnum):
    """What has become of a condition for leaving a register."""

    OPEN = "open"
    MET = "met"
    MISSED = "missed"
    WITHDRAWN = "withdrawn"


class ExitConditionOwner(StrEnum):
    """The part of whoever has to see to it that a condition is met; never a person."""

    PROVIDER_BOARD = "provider_board"
    CHIEF_EXECUTIVE = "chief_executive"
    MEDICAL_DIRECTOR = "medical_director"
    CHIEF_NURSE = "chief_nurse"
    DIRECTOR_OF_MEDICAL_EDUCATION = "director_of_medical_education"
    EDUCATION_LEAD = "education_lead"
    CLINICAL_LEAD = "clinical_lead"
    HEAD_OF_SCHOOL = "head_of_school"
    PROGRAMME_DIRECTOR = "programme_director"
    UNIVERSITY = "university"
    QUALITY_TEAM = "quality_team"


class DismissalReason(StrEnum):
    """Why a proposed concern is not raised."""

    NOT_SUBSTANTIATED = "not_substantiated"
    ALREADY_MANAGED = "already_managed"
    CORRECTED = "corrected"
    """What it rested on was corrected."""
    OUT_OF_SCOPE = "out_of_scope"
    OTHER = "other"


class ScopePart(StrEnum):
    """A part of a concern's scope that can have been entered wrongly."""

    SITE_CODE = "site_code"
    PROGRAMME = "programme"
    LEARNER_GROUP = "learner_group"
    STANDARDS = "standards"


class ConcernScope(EventData):
    """Where a concern lies: provider × site × programme × learner group × standards."""

    provider: ProviderRef = public("The provider the concern is about.")
    site_code: OdsCode | None = public("ODS code of the site, if the concern is about one site.", default=None)
    programme: Line = partner("Specialty or programme, such as “General surgery”.")
    learner_group: LearnerGroup = partner("The learners it concerns.")
    standard_set: Line = public("Version of the standard set the numbers refer to.")
    standards: Annotated[list[StandardNumber], Field(max_length=60)] = partner(
        "Numbers of the standards that may not be met."
    )


class ConcernRaised(ConcernScope):
    """A concern about a provider was entered in the register."""

    concern_id: UUID = partner("The concern.")
    reference: Line = partner("Its reference in the register, readable by people.")
    raised_on: date = partner("Day on which it was raised.")
    source_kind: SourceKind = internal("What kind of source it came from; never who.")
    source_date: date | None = internal("Day of the source, if known.", default=None)
    origin: Origin = internal("Reported to this office, or imported from an earlier register.")
    proposal_id: UUID | None = internal("The proposal it was raised from, if it was.", default=None)
    raised_by_policy: Line | None = internal(
        "Version of the policy by which it was raised at once, if no person decided on it.", default=None
    )


class ConcernRated(ConcernScope):
    """A person confirmed a concern's category, with the rating that suggested it."""

    concern_id: UUID = partner("The concern.")
    reference: Line = partner("Its reference in the register.")
    impact: int = partner("Impact, 1 to 5.", ge=1, le=5)
    likelihood: int = partner("Likelihood, 1 to 5.", ge=1, le=5)
    score: int = partner("Impact × likelihood.", ge=1, le=25)
    band: RiskBand = partner("Band of the score.")
    suggested_category: Category = partner("Category the score suggests.")
    category: Category = partner("Category a person confirmed.")
    previous_category: Category | None = partner("Category before, if it was rated before.", default=None)
    rated_on: date = partner("Day of the confirmation.")
    origin: Origin = internal("Whether it was rated here, or the rating came with an imported register.")
    marked_for: Annotated[list[Overseer], Field(max_length=10)] = partner(
        "Who beyond the office is to hear of it because its category is significant or higher.",
        default_factory=list[Overseer],
    )


class ConcernClosed(EventData):
    """A concern was closed on this office's register."""

    concern_id: UUID = partner("The concern.")
    reference: Line = partner("Its reference in the register.")
    provider: ProviderRef = public("The provider it was about.")
    category: Category | None = partner("Last confirmed category, if it was ever rated.", default=None)
    reason: ClosureReason = partner("Why it was closed.")
    closed_on: date = partner("Day of closure.")
    origin: Origin = internal("Whether it was closed here, or the closure came with an imported register.")


class ConcernReopened(EventData):
    """A closed concern was opened again; a new rating follows."""

    concern_id: UUID = partner("The concern.")
    reference: Line = partner("Its reference in the register.")
    provider: ProviderRef = public("The provider it is about.")
    reopened_on: date = partner("Day of reopening.")


class ConcernProposed(EventData):
    """The policy proposes a concern to the quality team; it is none before a person accepts it."""

    proposal_id: UUID = internal("The proposal.")
    provider: ProviderRef = public("The provider it is about.")
    site_code: OdsCode | None = internal("ODS code of the site, if it is about one site.", default=None)
    programme: Line | None = internal("Specialty or programme, if it is about one.", default=None)
    learner_group: LearnerGroup | None = internal("The learners it concerns, if that is known.", default=None)
    standard_set: Line = internal("Version of the standard set the numbers refer to.")
    standards: Annotated[list[StandardNumber], Field(max_length=60)] = internal(
        "Numbers of the standards that may not be met."
    )
    source_kinds: Annotated[list[SourceKind], Field(max_length=20)] = internal(
        "What kinds of source it rests on; never who."
    )
    flag_ids: Annotated[list[UUID], Field(max_length=100)] = internal("Flags of survey results it rests on.")
    item_ids: Annotated[list[UUID], Field(max_length=100)] = internal("Items of intelligence it rests on.")
    policy_version: Line = internal("Version of the policy that proposes it.")
    reasons: Annotated[list[Line], Field(max_length=20)] = internal("Codes of the policy's rules that applied.")
    proposed_on: date = internal("Day of the proposal.")
    raised_at_once: bool = internal("True if the policy says that such a concern is raised without waiting.")


class ConcernDismissed(EventData):
    """A proposed concern was dismissed by a person and is not raised."""

    proposal_id: UUID = internal("The proposal.")
    provider: ProviderRef = public("The provider it was about.")
    policy_version: Line = internal("Version of the policy that proposed it.")
    reason: DismissalReason = internal("Why.")
    dismissed_on: date = internal("Day of the decision.")


class OfConcern(EventData):
    """What every event names of the concern it is about."""

    concern_id: UUID = partner("The concern.")
    reference: Line = partner("Its reference in the register.")
    provider: ProviderRef = public("The provider it is about.")


class ConcernEscalated(OfConcern):
    """A concern was put on the regional or the national register or under enhanced monitoring."""

    register_kind: Register = partner("Where it was put.")
    previous_state: RegisterState = partner("How it stood there before.")
    category: Category = partner("Confirmed category.")
    escalated_on: date = partner("Day on which it was put there.")


class ConcernDeEscalated(OfConcern):
    """A concern was taken off a register or out of enhanced monitoring, perhaps on conditions."""

    register_kind: Register = partner("What it was taken off.")
    state: RegisterState = partner("How it stands there now: off, or removed on conditions.")
    category: Category | None = partner("Last confirmed category.", default=None)
    de_escalated_on: date = partner("Day on which it was taken off.")
    effectiveness_checked_on: date = partner("Day of the check that found what was done to be effective.")
    open_conditions: int = partner("Exit conditions that are still to be met.", ge=0, le=100)


class ConcernMerged(OfConcern):
    """Another concern about the same provider, or a proposal of one, was merged into this one, which goes on."""

    merged_concern_id: UUID | None = partner(
        "The concern that was merged into it and is closed, if it was a concern.", default=None
    )
    merged_reference: Line | None = partner("Its reference in the register.", default=None)
    proposal_id: UUID | None = internal("The proposal that was merged into it, if it was one.", default=None)
    merged_on: date = partner("Day of the merger.")


class ConcernCorrected(ConcernScope):
    """The scope of a concern had been entered wrongly and was put right."""

    concern_id: UUID = partner("The concern.")
    reference: Line = partner("Its reference in the register.")
    corrected: Annotated[list[ScopePart], Field(min_length=1, max_length=10)] = partner("What was put right.")
    corrected_on: date = partner("Day of the correction.")


class OfExitCondition(OfConcern):
    """What every event names of the exit condition it is about."""

    condition_id: UUID = partner("The condition.")
    register_kind: Register = partner("The register that the concern may leave once it is met.")
    owner: ExitConditionOwner = partner("The part of whoever has to see to it.")
    due_on: date = partner("Last day on which it can be met in time.")


class ExitConditionSet(OfExitCondition):
    """A condition was set for a concern to leave a register."""

    set_on: date = partner("Day on which it was set.")


class ExitConditionSettled(OfExitCondition):
    """A condition for leaving a register was met, missed or withdrawn; one that was missed can still be met."""

    state: ExitConditionState = partner("What has become of it.")
    previous_state: ExitConditionState = partner("What it was before.")
    register_state: RegisterState = partner("How the concern stands in the register now.")
    settled_on: date = partner("Day on which this was established.")
