"""Proposals as they are answered, and what a person decides about them."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel, Field

from services.intelligence.domain.concern import Status
from services.intelligence.domain.proposal import ProposalState
from services.intelligence.domain.signals import Closeness, Mark, SignalKind
from services.intelligence.views.bodies import Body, Standards
from shared.contracts.concerns import DismissalReason
from shared.contracts.fields import Category, Line, OdsCode, Prose, ProviderRef
from shared.reference.kinds import LearnerGroup, SourceKind
from shared.web.changes import ChangeView

# What is taken -----------------------------------------------------------------------------------------------------


class AcceptProposal(Body):
    """A concern to raise from a proposal. What is left out is as the proposal says."""

    site_code: OdsCode | None = Field(default=None, description="Site; null: none.", examples=["FICTHT001A"])
    programme: Line | None = Field(
        default=None, description="Needed if the proposal names none.", examples=["General surgery"]
    )
    learner_group: LearnerGroup | None = Field(
        default=None, description="Needed if the proposal names none.", examples=["medical"]
    )
    standards: Standards | None = Field(
        default=None, description="Standards that may not be met.", examples=[["1.1", "3.5"]]
    )
    source_kind: SourceKind | None = Field(
        default=None, description="Kind of source; that of the newest evidence if left out.", examples=["nts"]
    )
    summary: Prose = Field(
        description="What the concern is, in your words. Stays in this service.",
        examples=["Clinical supervision has been flagged red for three years."],
    )
    action: Prose | None = Field(default=None, description="What is being done.", examples=["Rota under review."])
    rationale: Prose = Field(
        description="Why the proposal is a concern.", examples=["The head of school confirms what the survey says."]
    )


class MergeProposal(Body):
    """An open concern to give what a proposal rests on."""

    concern_id: UUID = Field(
        description="An open concern about the same provider.", examples=["019a0000-0000-7000-8000-000000000001"]
    )
    rationale: Prose = Field(description="Why they are one.", examples=["The same rota gap, seen by two sources."])


class DismissProposal(Body):
    """Why a proposal is no concern."""

    reason: DismissalReason = Field(description="Why, as a code.", examples=["not_substantiated"])
    rationale: Prose = Field(
        description="Why, in words.", examples=["The flag rests on a rota that ended before the survey."]
    )


# What is answered --------------------------------------------------------------------------------------------------


class RuleView(BaseModel):
    """A rule of the policy that holds."""

    code: str = Field(description="Its code.", examples=["triple-red"])
    title: str = Field(description="What it says.", examples=["A survey indicator is red in three consecutive years."])


class FileLineView(BaseModel):
    """Where a signal stands in an imported file."""

    file_id: int = Field(description="The file: see `/import-files/{file_id}`.")
    name: str = Field(description="What the file was called.")
    source: str = Field(description="The source whose export it is.")
    line: int = Field(description="Line of the file; the header is line 1.")


class EvidenceView(BaseModel):
    """One signal that a proposal rests on, as it stood when it was added."""

    kind: SignalKind = Field(description="A flag, or an item of intelligence.")
    id: UUID = Field(description="Id of the flag or item.")
    href: str = Field(description="Path where it is answered.", examples=["/intelligence/019a0000"])
    rules: list[str] = Field(description="Codes of the rules it is evidence for.")
    source_kind: SourceKind = Field(description="Kind of source.")
    on: date = Field(description="Day it speaks of; of a survey the day the policy gives its year.")
    site_code: str | None = Field(description="The site, if it is about one.")
    programme: str | None = Field(description="Specialty or programme.")
    learner_group: LearnerGroup | None = Field(description="Learners concerned.")
    standards: list[str] = Field(description="Standards it names.")
    marks: list[Mark] = Field(description="What made it stand out.")
    file: FileLineView | None = Field(description="File and line it came from, if it was imported.")
    holds: bool = Field(description="False if it was corrected since: look before you decide.")


class DuplicateView(BaseModel):
    """An open concern that may be the same: for merging."""

    concern_id: UUID = Field(description="The concern.")
    reference: str = Field(description="Its reference.")
    closeness: Closeness = Field(description="How near its scope is, the nearest first.")
    site_code: str | None = Field(description="Its site, if it is about one.")
    programme: str = Field(description="Its specialty or programme.")
    learner_group: LearnerGroup = Field(description="Its learners.")
    category: Category | None = Field(description="Its confirmed category.")
    raised_on: date = Field(description="Day it was raised.")
    status: Status = Field(description="Open: a closed one is reopened, not merged into.")


class EarlierView(BaseModel):
    """What was decided on an earlier proposal of the same scope."""

    proposal_id: UUID = Field(description="The proposal.")
    state: ProposalState = Field(description="What became of it.")
    dismissal: DismissalReason | None = Field(description="Why it was dismissed, if it was.")
    decided_on: date | None = Field(description="Day of the decision.")
    concern_id: UUID | None = Field(description="The concern it led to.")


class ProposalSummary(BaseModel):
    """A proposal as it stands in a list."""

    id: UUID = Field(description="Its id.")
    state: ProposalState = Field(description="What has become of it.")
    provider: ProviderRef = Field(description="The provider.")
    site_code: str | None = Field(description="The site, if it is about one.")
    programme: str | None = Field(description="Specialty or programme, if known.")
    learner_group: LearnerGroup | None = Field(description="Learners concerned, if known.")
    standard_set: str = Field(description="Version of the standard set.")
    standards: list[str] = Field(description="Standards that the evidence names.")
    rules: list[RuleView] = Field(description="The rules that hold.")
    policy_version: str = Field(description="Version of the policy: see `/policies/proposals/{version}`.")
    source_kinds: list[SourceKind] = Field(description="Kinds of source it rests on.")
    proposed_on: date = Field(description="Day it was proposed.")
    decided_on: date | None = Field(description="Day of the decision.")
    dismissal: DismissalReason | None = Field(description="Why it was dismissed, if it was.")
    concern_id: UUID | None = Field(description="The concern it was raised as or merged into.")
    version: int = Field(description="Version, as in the ETag.")


class ProposalView(ProposalSummary):
    """A proposal with all it rests on, and what it may be the same as."""

    evidence: list[EvidenceView] = Field(description="What it rests on, oldest first.")
    duplicates: list[DuplicateView] = Field(description="Open concerns of the same or a near scope, nearest first.")
    earlier: list[EarlierView] = Field(description="Earlier proposals of the same scope and what became of them.")
    history: list[ChangeView] = Field(description="What was done to it, by whom and why, oldest first.")


class ConcernEvidenceView(BaseModel):
    """What a concern rests on, back to file and line."""

    concern_id: UUID = Field(description="The concern.")
    proposals: list[UUID] = Field(description="The proposals it was raised from or that were merged into it.")
    evidence: list[EvidenceView] = Field(description="Flags and items, oldest first, each once.")


class DuplicatesView(BaseModel):
    """Open concerns and waiting proposals that may be the same as a concern."""

    concerns: list[DuplicateView] = Field(description="Other open concerns, the nearest first.")
    proposals: list[UUID] = Field(description="Waiting proposals of the same scope.")
