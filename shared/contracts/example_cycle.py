"""Examples of the events of the cycle, from a concern through a visit to the investment."""

from datetime import date

from shared.contracts.concerns import (
    ClosureReason,
    ConcernClosed,
    ConcernRaised,
    ConcernRated,
    ConcernReopened,
    Overseer,
)
from shared.contracts.example_parts import (
    CONCERN,
    CONCERN_PROPOSAL,
    PROVIDER,
    REFERENCE,
    SITE,
    STANDARD_SET,
    Moment,
    at,
    numbered,
)
from shared.contracts.fields import (
    AdjustmentReason,
    Category,
    FindingKind,
    Lever,
    Money,
    Origin,
    PanelRole,
    RiskBand,
    VisitKind,
)
from shared.contracts.investments import InvestmentAdjusted, InvestmentDeclined, InvestmentProposed
from shared.contracts.notifications import Channel, FailureCode, NotificationDelivered, NotificationFailed
from shared.contracts.outcomes import Finding, OutcomeRecorded
from shared.contracts.registry import by_model
from shared.contracts.visits import CancellationReason, VisitCancelled, VisitRequired, VisitScheduled
from shared.reference.kinds import LearnerGroup, SourceKind

_REQUIREMENT, _VISIT, _OUTCOME, _PROPOSAL = map(numbered, range(2, 6))
_OTHER_VISIT, _OTHER_PROPOSAL, _NOTIFICATION, _OTHER_NOTIFICATION = map(numbered, range(6, 10))
_AGREEMENT, _ADJUSTMENT, _LEDGER_TRANSACTION = map(numbered, range(10, 13))
_STAKEHOLDER, _OTHER_STAKEHOLDER = map(numbered, range(13, 15))
_FINDINGS = (numbered(15), numbered(16))

CYCLE: tuple[Moment, ...] = (
    (
        at(10, 6, 9, 12),
        ConcernRaised(
            provider=PROVIDER,
            site_code=SITE,
            programme="General surgery",
            learner_group=LearnerGroup.MEDICAL,
            standard_set=STANDARD_SET,
            standards=["3.5", "4.2"],
            concern_id=CONCERN,
            reference=REFERENCE,
            raised_on=date(2025, 10, 6),
            source_kind=SourceKind.NETS,
            source_date=date(2025, 9, 30),
            origin=Origin.REPORTED,
            proposal_id=CONCERN_PROPOSAL,
        ),
        None,
    ),
    (
        at(10, 6, 14, 30),
        ConcernRated(
            provider=PROVIDER,
            site_code=SITE,
            programme="General surgery",
            learner_group=LearnerGroup.MEDICAL,
            standard_set=STANDARD_SET,
            standards=["3.5", "4.2"],
            concern_id=CONCERN,
            reference=REFERENCE,
            impact=4,
            likelihood=3,
            score=12,
            band=RiskBand.HIGH,
            suggested_category=Category.SIGNIFICANT,
            category=Category.SIGNIFICANT,
            previous_category=None,
            rated_on=date(2025, 10, 6),
            origin=Origin.REPORTED,
            marked_for=[Overseer.NATIONAL_TEAM, Overseer.GMC],
        ),
        None,
    ),
    (
        at(10, 6, 14, 30),
        VisitRequired(
            requirement_id=_REQUIREMENT,
            provider=PROVIDER,
            concern_id=CONCERN,
            category=Category.SIGNIFICANT,
            kind=VisitKind.TRIGGERED_VISIT,
            latest_date=date(2025, 11, 17),
            policy_version="visit-policy-1",
            origin=Origin.REPORTED,
        ),
        ConcernRated,
    ),
    (
        at(10, 8, 10),
        VisitScheduled(
            visit_id=_VISIT,
            provider=PROVIDER,
            site_code=SITE,
            kind=VisitKind.TRIGGERED_VISIT,
            visit_date=date(2025, 11, 4),
            concern_ids=[CONCERN],
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
        at(11, 11, 16, 5),
        OutcomeRecorded(
            outcome_id=_OUTCOME,
            visit_id=_VISIT,
            provider=PROVIDER,
            kind=VisitKind.TRIGGERED_VISIT,
            visit_date=date(2025, 11, 4),
            recorded_on=date(2025, 11, 11),
            concern_ids=[CONCERN],
            highest_category=Category.SIGNIFICANT,
            standard_set=STANDARD_SET,
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
        at(11, 11, 16, 5),
        InvestmentProposed(
            proposal_id=_PROPOSAL,
            provider=PROVIDER,
            agreement_id=_AGREEMENT,
            financial_year="2025-26",
            lever=Lever.WITHHOLD,
            amount=Money(pence=-4_250_000),
            reason=AdjustmentReason.QUALITY_OUTCOME,
            outcome_id=_OUTCOME,
            concern_ids=[CONCERN],
            policy_version="investment-policy-1",
            reasons=["mandatory-requirement", "category-significant"],
            proposed_on=date(2025, 11, 11),
        ),
        OutcomeRecorded,
    ),
    (
        at(11, 13, 11, 20),
        InvestmentAdjusted(
            proposal_id=_PROPOSAL,
            provider=PROVIDER,
            agreement_id=_AGREEMENT,
            financial_year="2025-26",
            lever=Lever.WITHHOLD,
            amount=Money(pence=-4_250_000),
            reason=AdjustmentReason.QUALITY_OUTCOME,
            outcome_id=_OUTCOME,
            concern_ids=[CONCERN],
            adjustment_id=_ADJUSTMENT,
            ledger_transaction_id=_LEDGER_TRANSACTION,
            effective_on=date(2025, 12, 1),
        ),
        None,
    ),
    (
        at(11, 13, 11, 21),
        NotificationDelivered(
            notification_id=_NOTIFICATION,
            provider=PROVIDER,
            stakeholder_id=_STAKEHOLDER,
            stakeholder_kind="regulator",
            channel=Channel.EMAIL,
            template="investment-adjusted@1",
            about_event_id=numbered(0),
            about_event_type=by_model(InvestmentAdjusted).type,
            concern_ids=[CONCERN],
            attempts=1,
            delivered_at=at(11, 13, 11, 21),
        ),
        InvestmentAdjusted,
    ),
    (
        at(11, 13, 11, 21),
        NotificationFailed(
            notification_id=_OTHER_NOTIFICATION,
            provider=PROVIDER,
            stakeholder_id=_OTHER_STAKEHOLDER,
            stakeholder_kind="university",
            channel=Channel.EMAIL,
            template="investment-adjusted@1",
            about_event_id=numbered(0),
            about_event_type=by_model(InvestmentAdjusted).type,
            concern_ids=[CONCERN],
            attempts=1,
            failed_at=at(11, 13, 11, 21),
            failure=FailureCode.RECIPIENT_REFUSED,
        ),
        InvestmentAdjusted,
    ),
    (
        at(11, 24, 15),
        ConcernClosed(
            concern_id=CONCERN,
            reference=REFERENCE,
            provider=PROVIDER,
            category=Category.SIGNIFICANT,
            reason=ClosureReason.RESOLVED,
            closed_on=date(2025, 11, 24),
            origin=Origin.REPORTED,
        ),
        None,
    ),
    (
        at(12, 15, 9, 40),
        ConcernReopened(concern_id=CONCERN, reference=REFERENCE, provider=PROVIDER, reopened_on=date(2025, 12, 15)),
        None,
    ),
    (
        at(12, 16, 13),
        VisitCancelled(
            visit_id=_OTHER_VISIT,
            provider=PROVIDER,
            kind=VisitKind.FOLLOW_UP_VISIT,
            visit_date=date(2026, 1, 14),
            concern_ids=[CONCERN],
            requirement_ids=[],
            reason=CancellationReason.PROVIDER_REQUEST,
        ),
        None,
    ),
    (
        at(12, 18, 10, 30),
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
