"""Concerns as they are taken and answered."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from services.intelligence.domain.concern import Status
from services.intelligence.domain.standing import Stage, TrainingState
from services.intelligence.views.bodies import Body, Standards
from services.intelligence.views.following_up import ExitConditionView, RegisterView, SuspensionView
from services.intelligence.views.items import ItemView
from services.intelligence.views.reporters import Reporter
from shared.contracts.concerns import ClosureReason, Overseer
from shared.contracts.fields import Category, Day, Line, OdsCode, Origin, Prose, ProviderRef, RiskBand
from shared.reference.kinds import LearnerGroup, SourceKind
from shared.web.changes import ChangeView

ItemIds = Annotated[list[UUID], Field(max_length=100)]
Score = Annotated[int, Field(ge=1, le=5)]


class RaiseConcern(Body):
    """A concern to put on the register."""

    provider_code: OdsCode = Field(description="ODS code of the provider, not of a site.", examples=["FICTHT001"])
    site_code: OdsCode | None = Field(default=None, description="Site, if it is about one.", examples=["FICTHT001A"])
    programme: Line = Field(description="Specialty or programme.", examples=["General surgery"])
    learner_group: LearnerGroup = Field(description="Learners concerned.", examples=["medical"])
    standards: Standards = Field(
        default_factory=list[str], description="Standards that may not be met.", examples=[["1.1", "3.5"]]
    )
    source_kind: SourceKind = Field(description="Kind of source; never who.", examples=["learner"])
    source_date: Day | None = Field(default=None, description="Day of the source.", examples=["2024-05-02"])
    raised_on: Day | None = Field(default=None, description="Day it was raised; today if left out.")
    summary: Prose = Field(
        description="What the concern is. Stays in this service.",
        examples=["Doctors in training are left without supervision at night."],
    )
    action: Prose | None = Field(default=None, description="What is being done.", examples=["Rota under review."])
    item_ids: ItemIds = Field(default_factory=list[UUID], description="Items of intelligence it rests on.")
    reporter: Reporter | None = Field(default=None, description="Who raised it, if they may be asked.")


class LinkItems(Body):
    """Items for a concern to rest on."""

    item_ids: Annotated[ItemIds, Field(min_length=1)] = Field(description="Items of intelligence.")


class AssessConcern(Body):
    """An assessment of the risk."""

    impact: Score = Field(description="Impact, 1 to 5.", examples=[4])
    likelihood: Score = Field(description="Likelihood, 1 to 5.", examples=[4])
    rationale: Prose = Field(description="Why.", examples=["Supervision is missing on most nights."])


class RateConcern(AssessConcern):
    """An assessment and the category a person confirms."""

    category: Category = Field(
        description="0 none, 1 minor, 2 significant, 3 major, 4 training suspended.", examples=[3]
    )


class CloseConcern(Body):
    """Why a concern is closed."""

    closure_reason: ClosureReason = Field(description="Why.", examples=["resolved"])
    closed_on: Day | None = Field(default=None, description="Day of closure; today if left out.")
    rationale: Prose = Field(description="What shows it.", examples=["The follow-up visit found the standard met."])


class CorrectConcern(Body):
    """What of a concern's scope had been entered wrongly. What is left out stays as it is."""

    site_code: OdsCode | None = Field(
        default=None, description="Site; null if it is about no one site.", examples=["FICTHT001A"]
    )
    programme: Line | None = Field(default=None, description="Specialty or programme.", examples=["Urology"])
    learner_group: LearnerGroup | None = Field(default=None, description="Learners concerned.", examples=["medical"])
    standards: Standards | None = Field(
        default=None, description="Standards that may not be met, all of them.", examples=[["1.1"]]
    )
    rationale: Prose = Field(description="Why.", examples=["The report was about the other site."])


class MergeConcern(Body):
    """Another concern that this one goes on for."""

    merged_concern_id: UUID = Field(description="The other one, about the same provider. It is closed by this.")
    rationale: Prose = Field(description="Why they are one.", examples=["Both are about the same rota."])


class ReopenConcern(Body):
    """Why a closed concern is opened again."""

    rationale: Prose = Field(description="Why.", examples=["New reports of the same kind."])


class RatingView(BaseModel):
    """One assessment of a concern."""

    impact: int = Field(description="Impact, 1 to 5.")
    likelihood: int = Field(description="Likelihood, 1 to 5.")
    score: int = Field(description="Impact × likelihood.")
    band: RiskBand = Field(description="Band of the score.")
    suggested_category: Category = Field(description="Category the score suggests.")
    category: Category | None = Field(description="Category a person confirmed; null for an assessment.")
    rationale: str = Field(description="Why.")
    rated_on: date = Field(description="Day.")
    rated_by: str = Field(description="Staff id of who assessed or confirmed.")


class ChapterView(BaseModel):
    """One event in the story of a concern."""

    event_id: UUID = Field(description="Id of the event.")
    type: str = Field(description="Type of the event.")
    source: str = Field(description="Office and service that published it.")
    subject: str = Field(description="Id of what the event is about: the visit, the outcome …")
    occurred_at: datetime = Field(description="When it happened, UTC.")
    summary: str = Field(description="What it says, in a sentence.")


class ConcernSummary(BaseModel):
    """A concern as it stands in a list."""

    id: UUID = Field(description="Its id.")
    reference: str = Field(description="Its reference, readable by people.")
    origin: Origin = Field(description="Reported here, or imported.")
    provider: ProviderRef = Field(description="The provider.")
    site_code: str | None = Field(description="The site, if it is about one.")
    programme: str = Field(description="Specialty or programme.")
    learner_group: LearnerGroup = Field(description="Learners concerned.")
    standard_set: str = Field(description="Version of the standard set.")
    standards: list[str] = Field(description="Standards that may not be met.")
    source_kind: SourceKind = Field(description="Kind of source.")
    source_date: date | None = Field(description="Day of the source, if known.")
    raised_on: date = Field(description="Day it was raised.")
    summary: str = Field(description="What it is.")
    action: str | None = Field(description="What is being done.")
    status: Status = Field(description="Open or closed.")
    stage: Stage = Field(description="Where it is in its life.")
    merged_into: UUID | None = Field(description="The concern that goes on in its place, if it was merged.")
    category: Category | None = Field(description="Last confirmed category.")
    closed_on: date | None = Field(description="Day of closure.")
    closure_reason: ClosureReason | None = Field(description="Why it was closed.")
    marked_for: list[Overseer] = Field(description="Who beyond the office is to hear of it, as it is significant.")
    significant_since: date | None = Field(description="First day of a category that is significant, while it is.")
    registers: list[RegisterView] = Field(description="How it stands in each of the three registers.")
    training: TrainingState = Field(description="Whether training goes on where it lies.")
    version: int = Field(description="Version, as in the ETag.")


class ConcernView(ConcernSummary):
    """A concern and its whole story."""

    exit_conditions: list[ExitConditionView] = Field(description="Conditions for leaving registers, oldest first.")
    suspensions: list[SuspensionView] = Field(description="Suspensions of training, oldest first.")
    ratings: list[RatingView] = Field(description="All assessments, oldest first.")
    items: list[ItemView] = Field(description="Intelligence it rests on, oldest first.")
    story: list[ChapterView] = Field(description="The events about it, from all services, oldest first.")
    history: list[ChangeView] = Field(description="What was done to it here, by whom and why, oldest first.")
