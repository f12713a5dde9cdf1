"""A provider's profile as it is answered."""

from datetime import date
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from services.intelligence.domain.concern import Concern, marked_for
from services.intelligence.domain.standing import Stage, TrainingState
from services.intelligence.store.profiles import RatedConcern
from services.intelligence.views.flags import FlagView, SeriesView
from services.intelligence.views.following_up import RegisterView
from services.intelligence.views.organisations import OrganisationView
from shared.contracts.concerns import Overseer
from shared.contracts.fields import Category, RiskBand
from shared.reference.kinds import LearnerGroup, SourceKind


class OpenConcernView(BaseModel):
    """An open concern in a profile: its scope and where it stands, without a word of anybody."""

    id: UUID = Field(description="Its id.")
    href: str = Field(
        description="Path of its whole story.", examples=["/concerns/019a0000-0000-7000-8000-000000000001"]
    )
    reference: str = Field(description="Its reference.", examples=["C-2026-0042"])
    site_code: str | None = Field(description="The site, if it is about one.")
    programme: str = Field(description="Specialty or programme.")
    learner_group: LearnerGroup = Field(description="Learners concerned.")
    standards: list[str] = Field(description="Standards that may not be met.")
    source_kind: SourceKind = Field(description="Kind of source.")
    raised_on: date = Field(description="Day it was raised.")
    stage: Stage = Field(description="Where it is in its life.")
    category: Category | None = Field(description="Last confirmed category.")
    marked_for: list[Overseer] = Field(description="Who beyond the office is to hear of it, as it is significant.")
    registers: list[RegisterView] = Field(description="How it stands in each of the three registers.")
    training: TrainingState = Field(description="Whether training goes on where it lies.")

    @classmethod
    def of(cls, concern: Concern) -> Self:
        """The view of a concern."""
        return cls(
            id=concern.id,
            href=f"/concerns/{concern.id}",
            reference=concern.reference,
            site_code=concern.site_code,
            programme=concern.programme,
            learner_group=concern.learner_group,
            standards=list(concern.standards),
            source_kind=concern.source_kind,
            raised_on=concern.raised_on,
            stage=concern.life.stage,
            category=concern.category,
            marked_for=marked_for(concern.category),
            registers=[RegisterView.of(standing) for standing in concern.life.standings],
            training=concern.life.training,
        )


class RatingPointView(BaseModel):
    """One assessment of a concern about the provider: a point on the chart of its risk over time."""

    concern_id: UUID = Field(description="The concern, open or closed.")
    reference: str = Field(description="Its reference.")
    rated_on: date = Field(description="Day.")
    impact: int = Field(description="Impact, 1 to 5.")
    likelihood: int = Field(description="Likelihood, 1 to 5.")
    score: int = Field(description="Impact × likelihood.")
    band: RiskBand = Field(description="Band of the score.")
    category: Category | None = Field(description="Category a person confirmed; null for an assessment.")

    @classmethod
    def of(cls, rated: RatedConcern) -> Self:
        """The view of an assessment."""
        return cls(
            concern_id=rated.concern_id,
            reference=rated.reference,
            rated_on=rated.rated_on,
            impact=rated.rating.impact,
            likelihood=rated.rating.likelihood,
            score=rated.rating.score,
            band=rated.rating.band,
            category=rated.category,
        )


class ProfileView(BaseModel):
    """All that is known of the quality of a provider's training, on one page."""

    provider: OrganisationView = Field(description="The provider.")
    sites: list[OrganisationView] = Field(description="Its sites, by code.")
    open_concerns: list[OpenConcernView] = Field(description="Its open concerns, in the order they were entered.")
    ratings: list[RatingPointView] = Field(description="Ratings of all its concerns over time, oldest first.")
    flags: list[FlagView] = Field(
        description="Survey results that stand out in the last year there are any of: red ones first, then green ones, "
        "at most 200 of each."
    )
    flags_href: str = Field(description="Path of all its flags.", examples=["/flags?provider=FICTHT001"])
    series: list[SeriesView] = Field(description="One control chart for each indicator of each report.")
