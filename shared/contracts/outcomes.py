"""What visits says about the outcome of a visit. Topic ``quality.outcomes.v1``."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.fields import (
    Category,
    ConcernIds,
    EventData,
    FindingKind,
    Line,
    PanelRole,
    ProviderRef,
    StandardNumber,
    VisitKind,
    internal,
    partner,
    public,
)


class Finding(EventData):
    """One finding against one numbered standard; its wording stays with the visits service."""

    finding_id: UUID = partner("The finding.")
    kind: FindingKind = public("Which of the four kinds it is.")
    standard: StandardNumber = public("Number of the standard it is measured against.")
    due_on: date | None = partner("Day by which the provider must answer, for the mandatory kinds.", default=None)


class OutcomeRecorded(EventData):
    """The panel agreed on the outcome of a visit."""

    outcome_id: UUID = partner("The outcome.")
    visit_id: UUID = partner("The visit it belongs to.")
    provider: ProviderRef = public("The provider that was visited.")
    kind: VisitKind = public("Kind of visit.")
    visit_date: date = public("Day of the visit.")
    recorded_on: date = public("Day on which the outcome was recorded.")
    concern_ids: ConcernIds = partner("Concerns the visit looked into.")
    highest_category: Category | None = partner(
        "Highest category among these concerns when the outcome was recorded.", default=None
    )
    standard_set: Line = public("Version of the standard set the findings refer to.")
    findings: Annotated[list[Finding], Field(max_length=200)] = public("Findings, in the order of the report.")
    agreed_by_roles: Annotated[list[PanelRole], Field(min_length=2, max_length=40)] = public(
        "Roles that agreed to the outcome, one entry a person; the lay partner is always among them."
    )
    recorded_by: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] = internal(
        "Keyed pseudonym of who recorded it: lets funding refuse an approval by the same person, "
        "and tells nobody who it was."
    )
