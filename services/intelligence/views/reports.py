"""Reports of learners and educators as the form sends them, and as the quality team reads them."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from services.intelligence.views.bodies import Body, Standards
from services.intelligence.views.reporters import Reporter
from shared.contracts.fields import Day, Line, OdsCode, Prose
from shared.reference.kinds import LearnerGroup, SourceKind


class ReporterKind(StrEnum):
    """Who may send a report by the form."""

    LEARNER = "learner"
    EDUCATOR = "educator"

    @property
    def source_kind(self) -> SourceKind:
        """The kind of source it is."""
        return SourceKind(self.value)


class SendReport(Body):
    """What a learner or an educator has to say about a provider."""

    reporter_kind: ReporterKind = Field(description="A learner or an educator.", examples=["learner"])
    provider_code: OdsCode = Field(description="ODS code of the provider.", examples=["FICTHT001"])
    site_code: OdsCode | None = Field(default=None, description="Site, if it is about one.", examples=["FICTHT001A"])
    programme: Line = Field(description="Specialty or programme.", examples=["General surgery"])
    learner_group: LearnerGroup = Field(description="Learners concerned.", examples=["medical"])
    standards: Standards = Field(default_factory=list[str], description="Standards touched.", examples=[["3.5"]])
    happened_on: Day | None = Field(default=None, description="Day it is about; today if left out.")
    words: Prose = Field(
        description="What happened, in their own words. They stay in this service and go to the quality team alone.",
        examples=["I was alone on the ward at night and could reach nobody."],
    )
    patient_safety: bool = Field(default=False, description="True if the safety of patients is at stake.")
    immediate: bool = Field(
        default=False, description="True if somebody is at risk now: a concern is raised without waiting for a person."
    )
    reporter: Reporter | None = Field(
        default=None,
        description="Who they are, if they may be asked. Kept apart; one role can see it, and each look is logged.",
    )


class ReportReceipt(BaseModel):
    """What the form is answered: nothing of what others said or decided."""

    id: UUID = Field(description="Id of the report, to ask about it.")
    received_at: datetime = Field(description="Instant of receipt, UTC.")
    raised_at_once: bool = Field(description="True if a concern was raised without waiting.")


class ReportView(BaseModel):
    """A report as the quality team reads it. Who sent it is not here."""

    id: UUID = Field(description="Its id, and that of the item of intelligence that tells of it.")
    source_kind: SourceKind = Field(description="A learner or an educator.")
    provider_code: str = Field(description="The provider.")
    site_code: str | None = Field(description="The site, if it is about one.")
    programme: str | None = Field(description="Specialty or programme.")
    learner_group: LearnerGroup | None = Field(description="Learners concerned.")
    standards: list[str] = Field(description="Standards touched.")
    happened_on: date = Field(description="Day it is about.")
    words: str = Field(description="What happened, in their own words.")
    patient_safety: bool = Field(description="True if the safety of patients is at stake.")
    immediate: bool = Field(description="True if somebody was at risk when it was sent.")
    received_at: datetime = Field(description="Instant of receipt, UTC.")
