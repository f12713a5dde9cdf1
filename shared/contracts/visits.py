"""What visits says about requirements and visits. Topic ``quality.visits.v1``."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.fields import (
    Category,
    ConcernIds,
    EventData,
    Line,
    OdsCode,
    Origin,
    PanelRole,
    ProviderRef,
    VisitKind,
    internal,
    partner,
    public,
)


class CancellationReason(StrEnum):
    """Why a visit that was scheduled does not take place."""

    PROVIDER_REQUEST = "provider_request"
    PANEL_UNAVAILABLE = "panel_unavailable"
    SUPERSEDED = "superseded"
    CONCERN_CLOSED = "concern_closed"


class VisitRequired(EventData):
    """A concern's category calls for a visit by a certain day, or calls for another one than before."""

    requirement_id: UUID = partner("The requirement; the same one when a new rating changes it.")
    provider: ProviderRef = public("The provider to visit.")
    concern_id: UUID = partner("The concern that calls for it.")
    category: Category = partner("Category the requirement rests on.")
    kind: VisitKind = partner("Kind of visit called for.")
    latest_date: date = partner("Last day on which the visit may take place.")
    policy_version: Line = partner("Version of the visit policy that was applied.")
    origin: Origin = internal("Whether the rating it rests on was made here, or came with an imported register.")


class VisitScheduled(EventData):
    """A visit has a date and a complete panel."""

    visit_id: UUID = partner("The visit.")
    provider: ProviderRef = public("The provider to be visited.")
    site_code: OdsCode | None = public("ODS code of the site visited, if it is one site.", default=None)
    kind: VisitKind = public("Kind of visit.")
    visit_date: date = public("Day of the visit.")
    concern_ids: ConcernIds = partner("Concerns the visit looks into; empty for a regular visit.")
    requirement_ids: Annotated[list[UUID], Field(max_length=100)] = partner("Requirements it meets.")
    panel_roles: Annotated[list[PanelRole], Field(min_length=2, max_length=40)] = public(
        "Roles on the panel, one entry a person; never names."
    )


class VisitCancelled(EventData):
    """A scheduled visit will not take place; its requirements are open again."""

    visit_id: UUID = partner("The visit.")
    provider: ProviderRef = public("The provider that was to be visited.")
    kind: VisitKind = public("Kind of visit.")
    visit_date: date = public("Day for which it was scheduled.")
    concern_ids: ConcernIds = partner("Concerns it was to look into.")
    requirement_ids: Annotated[list[UUID], Field(max_length=100)] = partner("Requirements open again.")
    reason: CancellationReason = partner("Why it was cancelled.")
