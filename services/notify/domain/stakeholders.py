"""Who must hear: the kinds of stakeholder, and what each of them subscribes to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from shared.contracts.fields import Category, Line, OdsCode
from shared.rules import RuleBroken


class StakeholderKind(StrEnum):
    """The part a stakeholder plays in the quality of education. Values may be added, never renamed."""

    QUALITY_TEAM = "quality_team"
    """The office's own quality team."""
    NATIONAL_QUALITY_TEAM = "national_quality_team"
    """Keeps the national register; significant concerns are marked for it."""
    LOCAL_EDUCATION_PROVIDER = "local_education_provider"
    """A trust, practice, independent provider or council that places learners. Hears only of itself."""
    LAY_PARTNER_GROUP = "lay_partner_group"
    """Patient and public representatives, equal partners on every panel."""
    COLLEGE = "college"
    SPECIALTY_SCHOOL = "specialty_school"
    UNIVERSITY = "university"
    MEDICAL_SCHOOL = "medical_school"
    LEARNER_REPRESENTATIVES = "learner_representatives"
    SUPERVISOR_NETWORK = "supervisor_network"
    """Clinical and educational supervisors."""
    CARE_QUALITY_COMMISSION = "care_quality_commission"
    GENERAL_MEDICAL_COUNCIL = "general_medical_council"
    HEALTH_INNOVATION_NETWORK = "health_innovation_network"
    """Called Academic Health Science Network until 30 September 2023."""
    REGIONAL_OFFICE = "regional_office"
    """Another office in England."""
    NHS_EDUCATION_FOR_SCOTLAND = "nhs_education_for_scotland"
    HEALTH_EDUCATION_AND_IMPROVEMENT_WALES = "health_education_and_improvement_wales"
    NORTHERN_IRELAND_TRAINING_AGENCY = "northern_ireland_training_agency"
    DEFENCE_DEANERY = "defence_deanery"
    OTHER = "other"


class EventName(StrEnum):
    """What can be subscribed to: every event but those about notifications themselves and about proposed concerns.

    Of a proposal nobody is told: no person has decided yet that there is a concern, or one decided that there is none.
    """

    CONCERN_RAISED = "concern.raised"
    CONCERN_RATED = "concern.rated"
    CONCERN_CLOSED = "concern.closed"
    CONCERN_REOPENED = "concern.reopened"
    CONCERN_ESCALATED = "concern.escalated"
    CONCERN_DE_ESCALATED = "concern.de-escalated"
    CONCERN_MERGED = "concern.merged"
    CONCERN_CORRECTED = "concern.corrected"
    CONDITION_SET = "condition.set"
    CONDITION_SETTLED = "condition.settled"
    TRAINING_SUSPENDED = "training.suspended"
    TRAINING_RESTORED = "training.restored"
    INTELLIGENCE_FLAGGED = "intelligence.flagged"
    INTELLIGENCE_CORRECTED = "intelligence.corrected"
    VISIT_REQUIRED = "visit.required"
    VISIT_SCHEDULED = "visit.scheduled"
    VISIT_CANCELLED = "visit.cancelled"
    OUTCOME_RECORDED = "outcome.recorded"
    INVESTMENT_PROPOSED = "investment.proposed"
    INVESTMENT_ADJUSTED = "investment.adjusted"
    INVESTMENT_DECLINED = "investment.declined"


#: Without the question mark, which RFC 5322 allows and nobody has: `=?…?=` in a header would mean something else.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@({_LABEL}\.)+{_LABEL}")


def _address(text: str) -> str:
    """Refuse what is no plain address, without repeating it: an address is personal data."""
    local, _, _ = text.partition("@")
    if not _ADDRESS.fullmatch(text) or len(local) > 64:
        raise ValueError("is no e-mail address of the form name@domain.example, in ASCII and without a display name")
    return text


#: An e-mail address. Personal data: kept in the directory alone, shown only to those who manage it.
EmailAddress = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254), AfterValidator(_address)]


def _no_address(text: str) -> str:
    if "@" in text:
        raise ValueError("must not hold an e-mail address: it is shown to everybody who may read")
    return text


#: A line that everybody may read, so it holds no address.
OpenLine = Annotated[Line, AfterValidator(_no_address)]


class Subscription(BaseModel):
    """Which events a stakeholder is told of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_types: Annotated[list[EventName], Field(min_length=1, max_length=40)] = Field(
        description="Events to be told of.", examples=[["concern.rated", "concern.closed"]]
    )
    provider_code: OdsCode | None = Field(
        default=None, description="Only those about this provider; null for all providers.", examples=["FICTHT001"]
    )
    minimum_category: Category | None = Field(
        default=None,
        description="Only those about a concern of at least this category (2 is significant); null for all. "
        "An event whose concerns have no confirmed category reaches no minimum.",
        examples=[2],
    )


@dataclass(frozen=True, slots=True)
class Stakeholder:
    """An entry of the directory, without its address: deciding who hears needs none."""

    id: UUID
    reference: str | None
    kind: StakeholderKind
    organisation: str
    #: Its own ODS code, for a local education provider.
    provider_code: str | None
    active: bool
    subscriptions: tuple[Subscription, ...]
    version: int


def check_scope(kind: StakeholderKind, provider_code: str | None, subscriptions: Sequence[Subscription]) -> None:
    """A local education provider hears of itself only, and so must say who it is; others have no own provider.

    Raises RuleBroken.
    """
    if kind is not StakeholderKind.LOCAL_EDUCATION_PROVIDER:
        if provider_code is not None:
            raise RuleBroken(
                "provider_code", f"only a {StakeholderKind.LOCAL_EDUCATION_PROVIDER} has one; leave it out"
            )
        return
    if provider_code is None:
        raise RuleBroken("provider_code", f"a {kind} needs its own ODS code: it is told of itself alone")
    for place, subscription in enumerate(subscriptions):
        if subscription.provider_code not in (None, provider_code):
            raise RuleBroken(
                f"subscriptions.{place}.provider_code",
                f"a {kind} is told of itself alone: leave it out or set it to {provider_code}",
            )
