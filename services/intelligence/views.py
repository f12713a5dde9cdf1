"""What the intelligence service takes and what it answers."""

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.intelligence.domain.concern import Status
from services.intelligence.domain.organisation import Organisation
from services.intelligence.store.items import Item
from shared.contracts.concerns import ClosureReason
from shared.contracts.fields import Category, Day, Line, OdsCode, Origin, Prose, ProviderRef, RiskBand, StandardNumber
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind
from shared.web.changes import ChangeView

Standards = Annotated[list[StandardNumber], Field(max_length=60)]
ItemIds = Annotated[list[UUID], Field(max_length=100)]
Score = Annotated[int, Field(ge=1, le=5)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


# What is taken -----------------------------------------------------------------------------------------------------


class RecordItem(_Body):
    """Something that was heard about a provider."""

    provider_code: OdsCode = Field(description="ODS code of the provider.", examples=["FICTHT001"])
    site_code: OdsCode | None = Field(default=None, description="Site, if it is about one.", examples=["FICTHT001A"])
    programme: Line | None = Field(default=None, description="Specialty or programme.", examples=["General surgery"])
    learner_group: LearnerGroup | None = Field(default=None, description="Learners concerned.", examples=["medical"])
    standards: Standards = Field(default_factory=list[str], description="Standards touched.", examples=[["3.5"]])
    source_kind: SourceKind = Field(description="Kind of source; never who.", examples=["nts"])
    source_date: Day = Field(description="Day of the source.", examples=["2024-05-02"])
    summary: Prose = Field(
        description="What was heard. Stays in this service.", examples=["Three red flags for clinical supervision."]
    )


class Reporter(_Body):
    """Who raised a concern: kept apart from it, in no event, and every look is logged."""

    name: Line = Field(description="Name.", examples=["(withheld)"])
    contact: Line = Field(description="How to reach them.", examples=["(withheld)"])


class RaiseConcern(_Body):
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


class LinkItems(_Body):
    """Items for a concern to rest on."""

    item_ids: Annotated[ItemIds, Field(min_length=1)] = Field(description="Items of intelligence.")


class AssessConcern(_Body):
    """An assessment of the risk."""

    impact: Score = Field(description="Impact, 1 to 5.", examples=[4])
    likelihood: Score = Field(description="Likelihood, 1 to 5.", examples=[4])
    rationale: Prose = Field(description="Why.", examples=["Supervision is missing on most nights."])


class RateConcern(AssessConcern):
    """An assessment and the category a person confirms."""

    category: Category = Field(
        description="0 none, 1 minor, 2 significant, 3 major, 4 training suspended.", examples=[3]
    )


class CloseConcern(_Body):
    """Why a concern is closed."""

    closure_reason: ClosureReason = Field(description="Why.", examples=["resolved"])
    closed_on: Day | None = Field(default=None, description="Day of closure; today if left out.")
    rationale: Prose = Field(description="What shows it.", examples=["The follow-up visit found the standard met."])


class ReopenConcern(_Body):
    """Why a closed concern is opened again."""

    rationale: Prose = Field(description="Why.", examples=["New reports of the same kind."])


class ReporterAccess(_Body):
    """Why somebody looks at, or erases, who raised a concern. It is logged."""

    reason: Line = Field(description="Why.", examples=["To ask whether they agree to be quoted."])


# What is answered --------------------------------------------------------------------------------------------------


class OrganisationView(BaseModel):
    """An organisation of the register."""

    ods_code: str = Field(description="ODS code.")
    name: str = Field(description="Name now, or the last one.")
    kind: ProviderKind = Field(description="Kind of organisation.")
    parent_code: str | None = Field(description="Of a site: its organisation.")
    valid_from: date | None = Field(description="First day of the code, if known.")
    valid_to: date | None = Field(description="Last day of the code, if it was closed.")
    successor_code: str | None = Field(description="Who took over, if known.")
    source: str = Field(description="What the entry rests on.")

    @classmethod
    def of(cls, organisation: Organisation) -> Self:
        """The view of an organisation."""
        return cls.model_validate(organisation, from_attributes=True)


class ItemView(BaseModel):
    """An item of intelligence."""

    id: UUID = Field(description="Its id.")
    provider_code: str = Field(description="The provider.")
    site_code: str | None = Field(description="The site, if it is about one.")
    programme: str | None = Field(description="Specialty or programme.")
    learner_group: LearnerGroup | None = Field(description="Learners concerned.")
    standards: list[str] = Field(description="Standards touched.")
    source_kind: SourceKind = Field(description="Kind of source.")
    source_date: date = Field(description="Day of the source.")
    summary: str = Field(description="What was heard.")
    recorded_at: datetime = Field(description="Instant of recording, UTC.")

    @classmethod
    def of(cls, item: Item) -> Self:
        """The view of an item."""
        return cls.model_validate(item, from_attributes=True)


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
    category: Category | None = Field(description="Last confirmed category.")
    closed_on: date | None = Field(description="Day of closure.")
    closure_reason: ClosureReason | None = Field(description="Why it was closed.")
    version: int = Field(description="Version, as in the ETag.")


class ConcernView(ConcernSummary):
    """A concern and its whole story."""

    ratings: list[RatingView] = Field(description="All assessments, oldest first.")
    items: list[ItemView] = Field(description="Intelligence it rests on, oldest first.")
    story: list[ChapterView] = Field(description="The events about it, from all services, oldest first.")
    history: list[ChangeView] = Field(description="What was done to it here, by whom and why, oldest first.")


class ReporterView(BaseModel):
    """Who raised a concern; null where nobody said, or it was erased."""

    name: str | None = Field(description="Name.")
    contact: str | None = Field(description="How to reach them.")


class ReporterErased(BaseModel):
    """What an erasure did."""

    erased: bool = Field(description="False if there was nothing to erase.")


class RowProblemView(BaseModel):
    """Why a row of a file was not taken."""

    line: int = Field(description="Line of the file; the header is line 1.", examples=[7])
    column: str = Field(description="Column at fault, or empty if the whole row is.", examples=["impact"])
    reason: str = Field(description="What is wrong.", examples=["Input should be less than or equal to 5"])


class ImportReport(BaseModel):
    """What an import did."""

    added: int = Field(description="Rows that went in.")
    updated: int = Field(description="Rows that changed an entry (organisations only).")
    unchanged: int = Field(description="Rows that were there already.")
    refused: int = Field(description="Rows that were not taken.")
    problems: list[RowProblemView] = Field(description="Why, row by row.")
