"""What the visits service answers."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.visits.domain.requirement import RequirementState
from services.visits.domain.visit import ProblemCode, VisitState
from shared.contracts.fields import Category, FindingKind, PanelRole, ProviderRef, VisitKind
from shared.contracts.visits import CancellationReason
from shared.web.changes import ChangeView

_ONLY_STAFF = "Null for callers who may not manage people."


class ConflictView(BaseModel):
    """A declared conflict of interest that stands."""

    id: UUID = Field(description="The declaration.")
    provider_code: str = Field(description="ODS code of the organisation.", examples=["FICTHT001"])
    note: str | None = Field(description="What the interest is.")
    declared_at: datetime = Field(description="When it was declared, UTC.")


class PersonView(BaseModel):
    """A person of the pool."""

    id: UUID = Field(description="The person.")
    name: str = Field(description="Their name.", examples=["Rowan Ashdown"])
    organisation: str = Field(description="Where they come from.", examples=["Lay partner pool"])
    roles: list[PanelRole] = Field(description="Roles they can take.")
    active: bool = Field(description="False: they are kept off panels to come.")
    conflicts: list[ConflictView] = Field(description="Declared conflicts of interest that stand.")
    version: int = Field(description="For `If-Match`.", examples=[1])


class RequirementView(BaseModel):
    """A concern's call for a visit."""

    id: UUID = Field(description="The requirement.")
    provider: ProviderRef = Field(description="The provider to visit.")
    concern_id: UUID = Field(description="The concern that calls for it.")
    concern_reference: str = Field(description="Its reference in the register.", examples=["C-2026-0042"])
    category: Category = Field(description="Category it rests on.")
    kind: VisitKind = Field(description="Kind of visit called for; a stronger one meets it too.")
    latest_date: date = Field(description="Last day on which the visit may take place.")
    overdue: bool = Field(description="True if it is open and this day has passed.")
    state: RequirementState = Field(description="Where it stands.")
    called_for: bool = Field(description="False once the concern was closed or rated 0.")
    visit_id: UUID | None = Field(description="The visit that takes it up or has met it.")
    policy_version: str = Field(description="Version of the visit policy applied.", examples=["visit-policy-1"])
    version: int = Field(description="Version of this requirement.", examples=[1])


class RequirementStory(RequirementView):
    """A requirement with its history."""

    history: list[ChangeView] = Field(description="Every change, oldest first.")


class SeatView(BaseModel):
    """One person on a panel."""

    person_id: UUID = Field(description="The person.")
    role: PanelRole = Field(description="The part they take.")
    name: str | None = Field(description=f"Their name. {_ONLY_STAFF}")
    organisation: str | None = Field(description=f"Where they come from. {_ONLY_STAFF}")


class ProblemView(BaseModel):
    """Something that has become wrong with a scheduled visit."""

    code: ProblemCode = Field(description="What kind of problem it is.")
    detail: str = Field(description="What it is and what to do.")
    blocks_outcome: bool = Field(description="True if no outcome can be recorded before it is mended.")
    person_id: UUID | None = Field(description="The person it is about, if any.")
    requirement_id: UUID | None = Field(description="The requirement it is about, if any.")


class VisitSummary(BaseModel):
    """A visit in a list."""

    id: UUID = Field(description="The visit.")
    provider: ProviderRef = Field(description="The provider visited.")
    site_code: str | None = Field(description="The site visited, if it is one.")
    kind: VisitKind = Field(description="Kind of visit.")
    visit_date: date = Field(description="Day of the visit.")
    state: VisitState = Field(description="Where it stands.")
    concern_ids: list[UUID] = Field(description="Concerns it looks into.")
    requirement_ids: list[UUID] = Field(description="Requirements it was scheduled for.")
    panel_roles: list[PanelRole] = Field(description="Roles on the panel, one entry a person.")
    outcome_id: UUID | None = Field(description="Its outcome, once recorded.")
    version: int = Field(description="For `If-Match`.", examples=[1])


class VisitView(VisitSummary):
    """A visit with all that is known of it."""

    parent_code: str | None = Field(description="Organisation the provider belongs to, if staff named it.")
    panel: list[SeatView] = Field(description="Who sits on it.")
    problems: list[ProblemView] = Field(description="What has become wrong since it was scheduled.")
    reason: str | None = Field(description="Why it takes place, if it was said.")
    late_reason: str | None = Field(description="Why it is later than required.")
    cancellation_reason: CancellationReason | None = Field(description="Why it was cancelled, if it was.")
    cancellation_note: str | None = Field(description="More about the cancellation.")
    history: list[ChangeView] = Field(description="Every change, oldest first.")
    outcome: "OutcomeView | None" = Field(description="What the panel found, once recorded.")


class FindingView(BaseModel):
    """One finding against one standard."""

    id: UUID = Field(description="The finding.")
    kind: FindingKind = Field(description="Which of the four kinds it is.")
    standard: str = Field(description="Number of the standard.", examples=["3.5"])
    standard_label: str = Field(description="The standard in a few words.")
    text: str = Field(description="Its wording.")
    due_on: date | None = Field(description="Day by which the provider must answer, for the mandatory kinds.")


class OutcomeView(BaseModel):
    """What a panel found and agreed on."""

    id: UUID = Field(description="The outcome.")
    visit_id: UUID = Field(description="The visit it belongs to.")
    recorded_on: date = Field(description="Day on which it was recorded.")
    standard_set: str = Field(description="Version of the standard set.", examples=["hee-qf-2021"])
    policy_version: str = Field(description="Version of the finding policy.", examples=["finding-policy-1"])
    highest_category: Category | None = Field(description="Highest category among the open concerns at that moment.")
    summary: str = Field(description="Summary of the report.")
    background: str | None = Field(description="Background of the visit.")
    findings: list[FindingView] = Field(description="Findings in the order of the report.")
    agreed_by: list[SeatView] = Field(description="Who agreed: the whole panel.")
