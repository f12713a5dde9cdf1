"""Examples of the events of flags, proposals and the registers."""

from datetime import date

from shared.contracts.concerns import (
    ConcernCorrected,
    ConcernDeEscalated,
    ConcernDismissed,
    ConcernEscalated,
    ConcernMerged,
    ConcernProposed,
    DismissalReason,
    ExitConditionOwner,
    ExitConditionSet,
    ExitConditionSettled,
    ExitConditionState,
    Register,
    RegisterState,
    ScopePart,
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
    Category,
)
from shared.contracts.intelligence import (
    CorrectedResult,
    FlaggedResult,
    IntelligenceCorrected,
    IntelligenceFlagged,
    SurveyFlag,
)
from shared.contracts.training import RestorationReason, SuspensionReason, TrainingRestored, TrainingSuspended
from shared.reference.kinds import LearnerGroup, SourceKind

_FLAG, _FLAGGING, _OTHER_FLAGGING, _ITEM = map(numbered, (17, 18, 19, 25))
_CONDITION, _SUSPENSION, _OTHER_CONCERN, _OTHER_CONCERN_PROPOSAL = map(numbered, range(21, 25))

REGISTER: tuple[Moment, ...] = (
    (
        at(10, 1, 8, 40),
        IntelligenceFlagged(
            flagging_id=_FLAGGING,
            provider=PROVIDER,
            source_kind=SourceKind.NTS,
            year=2025,
            policy_version="nts-2026-1",
            import_id=12,
            results=[
                FlaggedResult(
                    flag_id=_FLAG,
                    site_code=SITE,
                    programme="General surgery",
                    indicator="Clinical supervision out of hours",
                    flag=SurveyFlag.RED,
                    triple_red=False,
                )
            ],
            flagged_on=date(2025, 10, 1),
        ),
        None,
    ),
    (
        at(10, 1, 8, 41),
        ConcernProposed(
            proposal_id=CONCERN_PROPOSAL,
            provider=PROVIDER,
            site_code=SITE,
            programme="General surgery",
            learner_group=LearnerGroup.MEDICAL,
            standard_set=STANDARD_SET,
            standards=["3.5"],
            source_kinds=[SourceKind.NTS, SourceKind.NETS],
            flag_ids=[_FLAG],
            item_ids=[_ITEM],
            policy_version="proposal-policy-1",
            reasons=["red-with-safety-report"],
            proposed_on=date(2025, 10, 1),
            raised_at_once=False,
        ),
        IntelligenceFlagged,
    ),
    (
        at(10, 7, 9, 5),
        ConcernCorrected(
            provider=PROVIDER,
            site_code=SITE,
            programme="General surgery",
            learner_group=LearnerGroup.MEDICAL,
            standard_set=STANDARD_SET,
            standards=["3.5"],
            concern_id=CONCERN,
            reference=REFERENCE,
            corrected=[ScopePart.STANDARDS],
            corrected_on=date(2025, 10, 7),
        ),
        None,
    ),
    (
        at(10, 7, 9, 30),
        ConcernEscalated(
            concern_id=CONCERN,
            reference=REFERENCE,
            provider=PROVIDER,
            register_kind=Register.NATIONAL_REGISTER,
            previous_state=RegisterState.OFF,
            category=Category.SIGNIFICANT,
            escalated_on=date(2025, 10, 7),
        ),
        None,
    ),
    (
        at(10, 7, 9, 40),
        ExitConditionSet(
            concern_id=CONCERN,
            reference=REFERENCE,
            provider=PROVIDER,
            condition_id=_CONDITION,
            register_kind=Register.NATIONAL_REGISTER,
            owner=ExitConditionOwner.MEDICAL_DIRECTOR,
            due_on=date(2026, 3, 31),
            set_on=date(2025, 10, 7),
        ),
        None,
    ),
    (
        at(10, 7, 16, 20),
        IntelligenceCorrected(
            flagging_id=_OTHER_FLAGGING,
            provider=PROVIDER,
            source_kind=SourceKind.NTS,
            year=2025,
            policy_version="nts-2026-1",
            import_id=12,
            results=[
                CorrectedResult(
                    flag_id=_FLAG,
                    site_code=SITE,
                    programme="General surgery",
                    indicator="Clinical supervision out of hours",
                    flag=SurveyFlag.PINK,
                    triple_red=False,
                    previous_flag=SurveyFlag.RED,
                    previous_triple_red=False,
                )
            ],
            corrected_on=date(2025, 10, 7),
        ),
        None,
    ),
    (
        at(12, 15, 11),
        TrainingSuspended(
            concern_id=CONCERN,
            reference=REFERENCE,
            provider=PROVIDER,
            suspension_id=_SUSPENSION,
            site_code=SITE,
            programme="General surgery",
            learner_group=LearnerGroup.MEDICAL,
            standard_set=STANDARD_SET,
            standards=["3.5"],
            basis=SuspensionReason.POOR_SUPERVISION.basis,
            reason=SuspensionReason.POOR_SUPERVISION,
            suspended_on=date(2025, 12, 16),
        ),
        None,
    ),
    (
        at(12, 22, 10),
        TrainingRestored(
            concern_id=CONCERN,
            reference=REFERENCE,
            provider=PROVIDER,
            suspension_id=_SUSPENSION,
            site_code=SITE,
            programme="General surgery",
            learner_group=LearnerGroup.MEDICAL,
            standard_set=STANDARD_SET,
            standards=["3.5"],
            basis=RestorationReason.SUPERVISION_RESTORED.basis,
            reason=RestorationReason.SUPERVISION_RESTORED,
            suspended_on=date(2025, 12, 16),
            restored_on=date(2025, 12, 29),
        ),
        None,
    ),
    (
        at(12, 22, 10, 20),
        ConcernDeEscalated(
            concern_id=CONCERN,
            reference=REFERENCE,
            provider=PROVIDER,
            register_kind=Register.NATIONAL_REGISTER,
            state=RegisterState.REMOVED_CONDITIONALLY,
            category=Category.SIGNIFICANT,
            de_escalated_on=date(2025, 12, 22),
            effectiveness_checked_on=date(2025, 12, 19),
            open_conditions=1,
        ),
        None,
    ),
    (
        at(12, 23, 9),
        ExitConditionSettled(
            concern_id=CONCERN,
            reference=REFERENCE,
            provider=PROVIDER,
            condition_id=_CONDITION,
            register_kind=Register.NATIONAL_REGISTER,
            owner=ExitConditionOwner.MEDICAL_DIRECTOR,
            due_on=date(2026, 3, 31),
            state=ExitConditionState.MET,
            previous_state=ExitConditionState.OPEN,
            register_state=RegisterState.OFF,
            settled_on=date(2025, 12, 23),
        ),
        None,
    ),
    (
        at(12, 23, 9, 30),
        ConcernMerged(
            concern_id=CONCERN,
            reference=REFERENCE,
            provider=PROVIDER,
            merged_concern_id=_OTHER_CONCERN,
            merged_reference="EM-2025-021",
            merged_on=date(2025, 12, 23),
        ),
        None,
    ),
    (
        at(12, 23, 9, 45),
        ConcernDismissed(
            proposal_id=_OTHER_CONCERN_PROPOSAL,
            provider=PROVIDER,
            policy_version="proposal-policy-1",
            reason=DismissalReason.ALREADY_MANAGED,
            dismissed_on=date(2025, 12, 23),
        ),
        None,
    ),
)
