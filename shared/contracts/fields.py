"""Field types that more than one contract uses, each with its meaning and its classification.

A *classification* says who may see a field outside the service that owns it:

- ``public``: could stand in a published report;
- ``partner``: for offices, universities, regulators and providers the event concerns;
- ``internal``: for the office's own services only.
"""

import re
from datetime import date
from enum import IntEnum, StrEnum
from typing import Annotated, Any, cast
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.fields import FieldInfo

from shared.reference.kinds import ProviderKind

#: Key of the JSON Schema keyword that carries a field's classification.
CLASSIFICATION_KEYWORD = "x-classification"


class Classification(StrEnum):
    """Who may see a field or an event, from the widest to the narrowest circle."""

    PUBLIC = "public"
    PARTNER = "partner"
    INTERNAL = "internal"

    @property
    def rank(self) -> int:
        """0 for the widest circle; an event is as narrow as its narrowest field."""
        return list(Classification).index(self)


def public(description: str, **constraints: Any) -> Any:
    """A field that could stand in a published report."""
    return _described(description, Classification.PUBLIC, constraints)


def partner(description: str, **constraints: Any) -> Any:
    """A field for the partners whom the event concerns."""
    return _described(description, Classification.PARTNER, constraints)


def internal(description: str, **constraints: Any) -> Any:
    """A field for the office's own services only."""
    return _described(description, Classification.INTERNAL, constraints)


def _described(description: str, classification: Classification, constraints: dict[str, Any]) -> Any:
    return Field(
        description=description,
        json_schema_extra={CLASSIFICATION_KEYWORD: classification.value},
        **constraints,
    )


def classification_of(field: FieldInfo) -> Classification | None:
    """The classification a field was declared with, or None if its author forgot it."""
    extra = field.json_schema_extra
    value = cast("dict[str, object]", extra).get(CLASSIFICATION_KEYWORD) if isinstance(extra, dict) else None
    return Classification(str(value)) if value is not None else None


_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def _storable(text: str) -> str:
    """Refuse what PostgreSQL's text or UTF-8 cannot hold, so that it is the caller's error and not ours."""
    if text.isprintable():
        # As nearly every text is; what is refused is never printable. Several times as fast as to search.
        return text
    if found := _UNSTORABLE.search(text):
        raise ValueError(
            f"contains the control or surrogate character U+{ord(found.group()):04X} "
            f"at position {found.start() + 1}; remove it"
        )
    return text


#: A single line of text.
Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=r"^[^\r\n]+$"),
    AfterValidator(_storable),
]

#: Several paragraphs of text. Never part of an event: free text stays in the service that received it.
Prose = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000),
    AfterValidator(_storable),
]

#: An organisation's code in the NHS Organisation Data Service.
OdsCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{3,10}$")]

#: A standard's number within its set, such as ``1.1`` or ``3.10``.
StandardNumber = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]?\.[1-9][0-9]?$")]

#: A financial year, 1 April to 31 March, such as ``2024-25``.
FinancialYearLabel = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-[0-9]{2}$")]

#: A day of this system's time: a date far off is a slip of the pen.
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2100, 12, 31))]

#: Largest sum accepted anywhere, in pence (ten thousand million pounds): far above any agreement, far below
#: what a JSON reader in another language loses digits of.
MAX_PENCE = 1_000_000_000_000

#: A sum of money in integer pence; negative is money taken away from the provider.
Pence = Annotated[int, Field(ge=-MAX_PENCE, le=MAX_PENCE, strict=True)]

#: A sum of money in integer pence that cannot be negative.
PositivePence = Annotated[int, Field(gt=0, le=MAX_PENCE, strict=True)]


class EventData(BaseModel):
    """Base of all that is carried in an event's value: immutable, and tolerant of fields added later."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ProviderRef(EventData):
    """The provider an event is about, as the register named it when the event happened."""

    ods_code: OdsCode = public("Code of the provider in the NHS Organisation Data Service.")
    name: Line = public("Name of the provider on the day of the event.")
    kind: ProviderKind = public("What kind of provider it is.")


class Money(EventData):
    """A sum of money."""

    pence: Pence = partner("Integer pence; negative is money taken away from the provider.")
    currency: Annotated[str, StringConstraints(pattern=r"^GBP$")] = public("ISO 4217 code; always GBP.", default="GBP")


class Category(IntEnum):
    """Category of a concern in the Intensive Support Framework: a score suggests it, a person confirms it."""

    NONE = 0
    MINOR = 1
    SIGNIFICANT = 2
    MAJOR = 3
    TRAINING_SUSPENDED = 4


class RiskBand(StrEnum):
    """Band of impact × likelihood in the NPSA risk matrix: 1–3, 4–6, 8–12, 15–25."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    EXTREME = "extreme"


class Origin(StrEnum):
    """How a fact came into the system."""

    REPORTED = "reported"
    IMPORTED = "imported"


class VisitKind(StrEnum):
    """Kinds of visit, from the lightest to the most urgent, then the regular and peer ones."""

    DESKTOP_REVIEW = "desktop_review"
    LEARNER_EDUCATOR_REVIEW = "learner_educator_review"
    PROGRAMME_REVIEW = "programme_review"
    SENIOR_LEADER_ENGAGEMENT = "senior_leader_engagement"
    TRIGGERED_VISIT = "triggered_visit"
    URGENT_RISK_REVIEW = "urgent_risk_review"
    FOLLOW_UP_VISIT = "follow_up_visit"
    ANNUAL_QUALITY_REVIEW = "annual_quality_review"
    PEER_VISIT = "peer_visit"


class PanelRole(StrEnum):
    """The part a person takes on a visit's panel. Events and reports name roles, never people."""

    CHAIR = "chair"
    QUALITY_LEAD = "quality_lead"
    LAY_PARTNER = "lay_partner"
    SPECIALTY_SCHOOL_LEAD = "specialty_school_lead"
    COLLEGE_LEAD = "college_lead"
    UNIVERSITY_COLLEAGUE = "university_colleague"
    REGULATOR = "regulator"
    LEARNER_REPRESENTATIVE = "learner_representative"
    PEER_REVIEWER = "peer_reviewer"


class FindingKind(StrEnum):
    """The four kinds of finding a visit can make."""

    IMMEDIATE_MANDATORY_REQUIREMENT = "immediate_mandatory_requirement"
    MANDATORY_REQUIREMENT = "mandatory_requirement"
    RECOMMENDATION = "recommendation"
    GOOD_PRACTICE = "good_practice"


class Lever(StrEnum):
    """What is done with the investment, from improvement through mild to severe."""

    IMPROVEMENT_GRANT = "improvement_grant"
    NO_CHANGE = "no_change"
    ACTION_PLAN = "action_plan"
    CONTRACT_NOTICE = "contract_notice"
    WITHHOLD = "withhold"
    RECLAIM = "reclaim"
    MOVE_PLACEMENTS = "move_placements"
    SUSPEND = "suspend"
    TERMINATE = "terminate"


class AdjustmentReason(StrEnum):
    """Why money changes. Every change says whether quality or workforce planning is behind it, because a
    suspension of training is not to be used for rotation gaps or planned reductions."""

    QUALITY_OUTCOME = "quality_outcome"
    QUALITY_GOOD_PRACTICE = "quality_good_practice"
    QUALITY_REINSTATEMENT = "quality_reinstatement"
    WORKFORCE_PLANNING = "workforce_planning"
    CORRECTION = "correction"


ConcernIds = Annotated[list[UUID], Field(max_length=100)]
