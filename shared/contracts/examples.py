"""One example of every event, for the AsyncAPI document, the documentation and the tests.

Together they tell two cycles at one provider that does not exist: its code is none that the NHS Organisation
Data Service gives out.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from pydantic import JsonValue

from shared.contracts.concerns import (
    ClosureReason,
    ConcernClosed,
    ConcernRaised,
    ConcernRated,
    ConcernReopened,
)
from shared.contracts.envelope import Envelope
from shared.contracts.fields import (
    AdjustmentReason,
    Category,
    EventData,
    FindingKind,
    Lever,
    Money,
    Origin,
    PanelRole,
    ProviderRef,
    RiskBand,
    VisitKind,
)
from shared.contracts.investments import InvestmentAdjusted, InvestmentDeclined, InvestmentProposed
from shared.contracts.notifications import Channel, FailureCode, NotificationDelivered, NotificationFailed
from shared.contracts.outcomes import Finding, OutcomeRecorded
from shared.contracts.registry import EVENTS, EventSpec, Topic, by_model
from shared.contracts.visits import CancellationReason, VisitCancelled, VisitRequired, VisitScheduled
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind

OFFICE = "east-midlands"


@dataclass(frozen=True, slots=True)
class Example:
    """An event as it could stand in a topic."""

    spec: EventSpec
    envelope: Envelope
    data: EventData

    def headers(self) -> dict[str, str]:
        """The record's headers, as text."""
        return {name: value.decode() for name, value in self.envelope.headers()}

    def value(self) -> bytes:
        """The record's value."""
        return self.data.model_dump_json().encode()

    def payload(self) -> dict[str, JsonValue]:
        """The record's value as a JSON document."""
        return self.data.model_dump(mode="json")


PROVIDER = ProviderRef(
    ods_code="ZZFICT01", name="Sherwell Vale Hospitals (fictional)", kind=ProviderKind.HOSPITAL_TRUST
)
_SITE = "ZZFICT01A"


def _id(number: int) -> UUID:
    return UUID(f"0199f3a1-5c00-7000-8000-{number:012x}")


_CONCERN, _REQUIREMENT, _VISIT, _OUTCOME, _PROPOSAL = map(_id, range(1, 6))
_OTHER_VISIT, _OTHER_PROPOSAL, _NOTIFICATION, _OTHER_NOTIFICATION = map(_id, range(6, 10))
_AGREEMENT, _ADJUSTMENT, _LEDGER_TRANSACTION = map(_id, range(10, 13))
_STAKEHOLDER, _OTHER_STAKEHOLDER = map(_id, range(13, 15))
_FINDINGS = (_id(15), _id(16))

_STANDARD_SET = "quality-framework-2021"
_REFERENCE = "EM-2025-014"


def _at(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2025, month, day, hour, minute, tzinfo=UTC)


#: When each event happened, its data and, where another event brought it about, that event's model.
_STORY: tuple[tuple[datetime, EventData, type[EventData] | None], ...] = (
    (
        _at(10, 6, 9, 12),
        ConcernRaised(
            provider=PROVIDER,
            site_code=_SITE,
            programme="General surgery",
            learner_group=LearnerGroup.MEDICAL,
            standard_set=_STANDARD_SET,
            standards=["3.5", "4.2"],
            concern_id=_CONCERN,
            reference=_REFERENCE,
            raised_on=date(2025, 10, 6),
            source_kind=SourceKind.NETS,
            source_date=date(2025, 9, 30),
            origin=Origin.REPORTED,
        ),
        None,
    ),
    (
        _at(10, 6, 14, 30),
        ConcernRated(
            provider=PROVIDER,
            site_code=_SITE,
            programme="General surgery",
            learner_group=LearnerGroup.MEDICAL,
            standard_set=_STANDARD_SET,
            standards=["3.5", "4.2"],
            concern_id=_CONCERN,
            reference=_REFERENCE,
            impact=4,
            likelihood=3,
            score=12,
            band=RiskBand.HIGH,
            suggested_category=Category.SIGNIFICANT,
            category=Category.SIGNIFICANT,
            previous_category=None,
            rated_on=date(2025, 10, 6),
            origin=Origin.REPORTED,
        ),
        None,
    ),
    (
        _at(10, 6, 14, 30),
        VisitRequired(
            requirement_id=_REQUIREMENT,
            provider=PROVIDER,
            concern_id=_CONCERN,
            category=Category.SIGNIFICANT,
            kind=VisitKind.TRIGGERED_VISIT,
            latest_date=date(2025, 11, 17),
            policy_version="visit-policy-1",
            origin=Origin.REPORTED,
        ),
        ConcernRated,
    ),
    (
        _at(10, 8, 10),
        VisitScheduled(
            visit_id=_VISIT,
            provider=PROVIDER,
            site_code=_SITE,
            kind=VisitKind.TRIGGERED_VISIT,
            visit_date=date(2025, 11, 4),
            concern_ids=[_CONCERN],
            requirement_ids=[_REQUIREMENT],
            panel_roles=[
                PanelRole.CHAIR,
                PanelRole.QUALITY_LEAD,
                PanelRole.LAY_PARTNER,
                PanelRole.SPECIALTY_SCHOOL_LEAD,
            ],
        ),
        None,
    ),
    (
        _at(11, 11, 16, 5),
        OutcomeRecorded(
            outcome_id=_OUTCOME,
            visit_id=_VISIT,
            provider=PROVIDER,
            kind=VisitKind.TRIGGERED_VISIT,
            visit_date=date(2025, 11, 4),
            recorded_on=date(2025, 11, 11),
            concern_ids=[_CONCERN],
            highest_category=Category.SIGNIFICANT,
            standard_set=_STANDARD_SET,
            findings=[
                Finding(
                    finding_id=_FINDINGS[0],
                    kind=FindingKind.MANDATORY_REQUIREMENT,
                    standard="3.5",
                    due_on=date(2026, 1, 30),
                ),
                Finding(finding_id=_FINDINGS[1], kind=FindingKind.GOOD_PRACTICE, standard="4.2"),
            ],
            agreed_by_roles=[
                PanelRole.CHAIR,
                PanelRole.QUALITY_LEAD,
                PanelRole.LAY_PARTNER,
                PanelRole.SPECIALTY_SCHOOL_LEAD,
            ],
            recorded_by="5f0c6e1b9a7d42c38e1f4b6a0d9c7e25",
        ),
        None,
    ),
    (
        _at(11, 11, 16, 5),
        InvestmentProposed(
            proposal_id=_PROPOSAL,
            provider=PROVIDER,
            agreement_id=_AGREEMENT,
            financial_year="2025-26",
            lever=Lever.WITHHOLD,
            amount=Money(pence=-4_250_000),
            reason=AdjustmentReason.QUALITY_OUTCOME,
            outcome_id=_OUTCOME,
            concern_ids=[_CONCERN],
            policy_version="investment-policy-1",
            reasons=["mandatory-requirement", "category-significant"],
            proposed_on=date(2025, 11, 11),
        ),
        OutcomeRecorded,
    ),
    (
        _at(11, 13, 11, 20),
        InvestmentAdjusted(
            proposal_id=_PROPOSAL,
            provider=PROVIDER,
            agreement_id=_AGREEMENT,
            financial_year="2025-26",
            lever=Lever.WITHHOLD,
            amount=Money(pence=-4_250_000),
            reason=AdjustmentReason.QUALITY_OUTCOME,
            outcome_id=_OUTCOME,
            concern_ids=[_CONCERN],
            adjustment_id=_ADJUSTMENT,
            ledger_transaction_id=_LEDGER_TRANSACTION,
            effective_on=date(2025, 12, 1),
        ),
        None,
    ),
    (
        _at(11, 13, 11, 21),
        NotificationDelivered(
            notification_id=_NOTIFICATION,
            provider=PROVIDER,
            stakeholder_id=_STAKEHOLDER,
            stakeholder_kind="regulator",
            channel=Channel.EMAIL,
            template="investment-adjusted@1",
            about_event_id=_id(0),
            about_event_type=by_model(InvestmentAdjusted).type,
            concern_ids=[_CONCERN],
            attempts=1,
            delivered_at=_at(11, 13, 11, 21),
        ),
        InvestmentAdjusted,
    ),
    (
        _at(11, 13, 11, 21),
        NotificationFailed(
            notification_id=_OTHER_NOTIFICATION,
            provider=PROVIDER,
            stakeholder_id=_OTHER_STAKEHOLDER,
            stakeholder_kind="university",
            channel=Channel.EMAIL,
            template="investment-adjusted@1",
            about_event_id=_id(0),
            about_event_type=by_model(InvestmentAdjusted).type,
            concern_ids=[_CONCERN],
            attempts=1,
            failed_at=_at(11, 13, 11, 21),
            failure=FailureCode.RECIPIENT_REFUSED,
        ),
        InvestmentAdjusted,
    ),
    (
        _at(11, 24, 15),
        ConcernClosed(
            concern_id=_CONCERN,
            reference=_REFERENCE,
            provider=PROVIDER,
            category=Category.SIGNIFICANT,
            reason=ClosureReason.RESOLVED,
            closed_on=date(2025, 11, 24),
            origin=Origin.REPORTED,
        ),
        None,
    ),
    (
        _at(12, 15, 9, 40),
        ConcernReopened(concern_id=_CONCERN, reference=_REFERENCE, provider=PROVIDER, reopened_on=date(2025, 12, 15)),
        None,
    ),
    (
        _at(12, 16, 13),
        VisitCancelled(
            visit_id=_OTHER_VISIT,
            provider=PROVIDER,
            kind=VisitKind.FOLLOW_UP_VISIT,
            visit_date=date(2026, 1, 14),
            concern_ids=[_CONCERN],
            requirement_ids=[],
            reason=CancellationReason.PROVIDER_REQUEST,
        ),
        None,
    ),
    (
        _at(12, 18, 10, 30),
        InvestmentDeclined(
            proposal_id=_OTHER_PROPOSAL,
            provider=PROVIDER,
            agreement_id=_AGREEMENT,
            financial_year="2025-26",
            lever=Lever.IMPROVEMENT_GRANT,
            amount=Money(pence=1_500_000),
            reason=AdjustmentReason.QUALITY_GOOD_PRACTICE,
            outcome_id=None,
            concern_ids=[],
            declined_on=date(2025, 12, 18),
        ),
        None,
    ),
)


def _told() -> tuple[Example, ...]:
    numbers: Counter[tuple[Topic, str]] = Counter()
    told: dict[type[EventData], Example] = {}
    for place, (moment, data, cause) in enumerate(_STORY, start=1):
        spec = by_model(type(data))
        numbers[spec.topic, spec.producer] += 1
        causation = told[cause].envelope.id if cause else None
        told[spec.model] = Example(
            spec=spec,
            envelope=Envelope(
                id=_event_id(moment, place),
                source=f"/{OFFICE}/{spec.producer}",
                type=spec.type,
                subject=str(getattr(data, spec.subject_field)),
                time=moment,
                dataschema=spec.dataschema,
                key=PROVIDER.ods_code,
                sequence=numbers[spec.topic, spec.producer],
                correlationid=_CONCERN,
                causationid=causation,
                traceparent=f"00-4bf92f3577b34da6a3ce929d0e0e{place:04x}-00f067aa0ba9{place:04x}-01",
                dataclassification=spec.classification,
            ),
            data=_about(data, causation),
        )
    if missing := [spec.name for spec in EVENTS if spec.model not in told]:
        raise LookupError(f"no example of {', '.join(missing)}: add it to the story in {__name__}")
    return tuple(told[spec.model] for spec in EVENTS)


def _about(data: EventData, causation: UUID | None) -> EventData:
    """A notification's data with the id of the event it tells of, which is known once that event was told."""
    if isinstance(data, NotificationDelivered | NotificationFailed):
        return data.model_copy(update={"about_event_id": causation})
    return data


def _event_id(moment: datetime, place: int) -> UUID:
    """A UUIDv7 of that moment."""
    return UUID(f"{int(moment.timestamp() * 1000):012x}70008000{place:012x}")


#: In the order of the registry.
EXAMPLES: tuple[Example, ...] = _told()

_BY_TYPE = {example.spec.type: example for example in EXAMPLES}


def example_of(spec: EventSpec) -> Example:
    """The example of an event."""
    return _BY_TYPE[spec.type]
