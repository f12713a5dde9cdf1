"""Items of intelligence as they are taken and answered."""

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from services.intelligence.store.items import Item
from services.intelligence.views.bodies import Body, Standards
from shared.contracts.fields import Day, Line, OdsCode, Prose
from shared.reference.kinds import LearnerGroup, SourceKind, Tendency


class RecordItem(Body):
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
    theme: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")] | None = Field(
        default=None, description="What it is about: the policy knows `patient_safety`.", examples=["patient_safety"]
    )
    tendency: Tendency = Field(
        default=Tendency.ADVERSE, description="Which way it points: only what is adverse is a signal to the policy."
    )


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
    file_id: int | None = Field(description="File it came from, if it was imported: see `/import-files/{file_id}`.")
    line: int | None = Field(description="Line of that file.")
    reference: str | None = Field(description="What the source itself calls it.")
    theme: str | None = Field(description="What it is about, such as `patient_safety`.")
    rating: str | None = Field(description="A regulator's word, such as `requires improvement`.")
    tendency: Tendency | None = Field(description="Which way it points, if the source says.")
    replaced_by: UUID | None = Field(description="The item of a later file that says otherwise.")

    @classmethod
    def of(cls, item: Item) -> Self:
        """The view of an item."""
        return cls.model_validate(item, from_attributes=True)
