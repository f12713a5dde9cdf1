"""What callers send to the visits service."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from shared.contracts.fields import (
    Day,
    FindingKind,
    Line,
    OdsCode,
    PanelRole,
    Prose,
    StandardNumber,
    VisitKind,
)
from shared.contracts.visits import CancellationReason
from shared.reference import standards
from shared.reference.kinds import ProviderKind

_PERSON = "019a0000-0000-7000-8000-000000000001"
_LAY = "019a0000-0000-7000-8000-000000000002"
_REQUIREMENT = "019a0000-0000-7000-8000-000000000003"

Reason = Annotated[
    Line | None, Field(description="Why, for the history. Name no person.", examples=["Agreed with the trust"])
]


def _each_once(roles: list[PanelRole]) -> list[PanelRole]:
    if len(set(roles)) != len(roles):
        raise ValueError("names a role twice; name each once")
    return sorted(roles)


Roles = Annotated[
    list[PanelRole],
    Field(min_length=1, max_length=len(PanelRole), description="Roles the person can take on a panel."),
    AfterValidator(_each_once),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AddPersonBody(_Body):
    """A person for the pool. Name and organisation stay in this service: events and reports name roles only."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Rowan Ashdown", "organisation": "Lay partner pool", "roles": ["lay_partner"]}]
        }
    )

    name: Line = Field(description="The person's name.")
    organisation: Line = Field(description="Where they come from, such as a college, or the lay partner pool.")
    roles: Roles
    reason: Reason = None


class ChangePersonBody(_Body):
    """What changes of a person; a field that is left out, or null, stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"active": False, "reason": "Left the pool"}]})

    name: Line | None = Field(default=None, description="The person's name.")
    organisation: Line | None = Field(default=None, description="Where they come from.")
    roles: Roles | None = None
    active: bool | None = Field(default=None, description="False keeps the person off panels to come.")
    reason: Reason = None


class DeclareConflictBody(_Body):
    """A conflict of interest with an organisation. It keeps the person off every panel that visits it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"provider_code": "FICTHT001", "note": "Worked there until last year"}]}
    )

    provider_code: OdsCode = Field(
        description="ODS code of a provider, of a site, or of the organisation a provider belongs to. "
        "A conflict with an organisation is one with the sites whose codes begin with its own."
    )
    note: Prose | None = Field(default=None, description="What the interest is. Stays in this service.")
    reason: Reason = None


class SeatBody(_Body):
    """One person of the pool in one role."""

    person_id: UUID = Field(description="The person.")
    role: PanelRole = Field(description="The part they take; one they can take.")


Panel = Annotated[
    list[SeatBody],
    Field(max_length=40, description="The panel: exactly one chair, at least one lay partner, each person once."),
]

_PANEL_EXAMPLE: list[JsonValue] = [{"person_id": _PERSON, "role": "chair"}, {"person_id": _LAY, "role": "lay_partner"}]


class UnknownProviderBody(_Body):
    """A provider that no concern has told visits of yet."""

    name: Line = Field(description="Its name.", examples=["Millpond Lane Surgery (fictional)"])
    kind: ProviderKind = Field(description="What kind of provider it is.")


class ScheduleVisitBody(_Body):
    """A visit to schedule, with its complete panel."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "provider_code": "FICTHT001",
                    "kind": "triggered_visit",
                    "visit_date": "2027-01-18",
                    "requirement_ids": [_REQUIREMENT],
                    "panel": _PANEL_EXAMPLE,
                }
            ]
        }
    )

    provider_code: OdsCode = Field(description="ODS code of the provider to visit.")
    provider: UnknownProviderBody | None = Field(
        default=None,
        description="Needed, and used, only while visits has heard of no concern about the provider: "
        "for a regular visit.",
    )
    site_code: OdsCode | None = Field(default=None, description="ODS code of the site, if one site is visited.")
    parent_code: OdsCode | None = Field(
        default=None,
        description="ODS code of the organisation the provider belongs to, if conflicts of interest with that "
        "one are to count as well.",
    )
    kind: VisitKind = Field(
        description="Kind of visit. To meet a requirement it must be at least as strong as the kind required, in the "
        "order desktop_review, learner_educator_review, programme_review, senior_leader_engagement, triggered_visit, "
        "urgent_risk_review; the other kinds meet none."
    )
    visit_date: Day = Field(description="Day of the visit, today in England or later.")
    requirement_ids: list[UUID] = Field(
        default_factory=list[UUID],
        max_length=50,
        description="Open requirements of this provider that the visit takes up; it looks into their concerns.",
    )
    concern_ids: list[UUID] = Field(
        default_factory=list[UUID],
        max_length=50,
        description="Further concerns of this provider it looks into. Their requirements, if any, stay open.",
    )
    panel: Panel
    reason: Reason = None
    late_reason: Line | None = Field(
        default=None,
        description="Why it is later than a requirement's latest date; needed if it is. Name no person.",
        examples=["The trust's merger took effect in that week"],
    )


class ChangePanelBody(_Body):
    """The whole panel of a visit, in place of the one it has."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"panel": _PANEL_EXAMPLE, "reason": "A conflict of interest was declared"}]}
    )

    panel: Panel
    reason: Reason = None


class CancelVisitBody(_Body):
    """Why a visit does not take place."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "panel_unavailable", "note": "The chair is unwell"}]}
    )

    reason: CancellationReason = Field(description="Why, from a closed list; part of the event.")
    note: Prose | None = Field(default=None, description="More about it. Stays in this service.")


class FindingBody(_Body):
    """One finding of the panel."""

    kind: FindingKind = Field(description="Which of the four kinds it is.")
    standard: StandardNumber = Field(description="Number of the standard it is measured against.", examples=["3.5"])
    text: Prose = Field(description="Its wording. Names no individual. Stays in this service.")
    due_on: Day | None = Field(
        default=None,
        description="By when the provider must answer. Leave it out for an immediate mandatory requirement (policy), "
        "for a recommendation and for good practice (none); for a mandatory requirement the policy gives a default.",
    )


class RecordOutcomeBody(_Body):
    """What the panel found and agreed on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "summary": "Clinical supervision out of hours falls below the standard.",
                    "background": "Third visit in two years.",
                    "findings": [
                        {
                            "kind": "immediate_mandatory_requirement",
                            "standard": "3.5",
                            "text": "Name a supervisor for each night shift.",
                        },
                        {
                            "kind": "mandatory_requirement",
                            "standard": "2.1",
                            "text": "Give the board a yearly report on education.",
                            "due_on": "2027-03-31",
                        },
                        {"kind": "good_practice", "standard": "1.7", "text": "Learners trust the guardian."},
                    ],
                    "agreed_by": [_PERSON, _LAY],
                }
            ]
        }
    )

    summary: Prose = Field(description="Summary of the report. Stays in this service.")
    background: Prose | None = Field(default=None, description="Background of the visit. Stays in this service.")
    standard_set: Line = Field(
        default=standards.CURRENT, description="Version of the standard set that the numbers refer to."
    )
    findings: list[FindingBody] = Field(
        max_length=200, description="Findings in the order of the report; empty if there are none."
    )
    agreed_by: list[UUID] = Field(
        max_length=40, description="Everybody who agreed: each member of the panel, the lay partner like anybody."
    )
    reason: Reason = None
