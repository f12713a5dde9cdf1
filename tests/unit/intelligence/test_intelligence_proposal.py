"""A proposal: what it gathers, what may be done to it once, and what others are told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intelligence.domain.concern import Concern
from services.intelligence.domain.organisation import Organisation
from services.intelligence.domain.proposal import MACHINE, Proposal, ProposalCommand, ProposalState, may_be_raised
from services.intelligence.domain.proposal_policy import Then
from services.intelligence.domain.proposing import Draft, Evidence
from services.intelligence.domain.signals import Scope, Signal, SignalKind, survey_of
from shared.contracts.concerns import DismissalReason
from shared.contracts.fields import Origin
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind
from shared.rules import NotInThisState, RuleBroken

DAY = date(2026, 3, 4)
TRUST = Organisation("FICTHT001", "A trust (fictional)", ProviderKind.HOSPITAL_TRUST, None, None, None, None, "made up")
SCOPE = Scope("FICTHT001", None, "Surgery", LearnerGroup.MEDICAL)
ORDER = ["first-rule", "second-rule"]


def signal(number: int, kind: SignalKind = SignalKind.ITEM, on: date = DAY, revision: int = 1) -> Signal:
    return Signal(
        kind, str(UUID(int=number)), revision, SCOPE, frozenset(), "learner", SourceKind.LEARNER, on, frozenset()
    )


def draft(*evidence: Evidence, rules: tuple[str, ...] = ("first-rule",), then: Then = Then.PROPOSE) -> Draft:
    return Draft(SCOPE, frozenset(), rules, then, evidence, "policy-2")


def proposal(**changes: object) -> Proposal:
    made = Proposal(
        id=uuid4(),
        provider=TRUST,
        site_code=None,
        programme="Surgery",
        learner_group=LearnerGroup.MEDICAL,
        standard_set="hee-qf-2021",
        standards=("1.1",),
        rules=("first-rule",),
        policy_version="policy-1",
        proposed_on=DAY,
        evidence=(Evidence(signal(1), ("first-rule",)),),
    )
    return replace(made, **changes)


def concern(provider: Organisation = TRUST) -> Concern:
    return Concern(
        id=uuid4(),
        reference="C-2026-0001",
        origin=Origin.REPORTED,
        provider=provider,
        site_code=None,
        programme="Surgery",
        learner_group=LearnerGroup.MEDICAL,
        standard_set="hee-qf-2021",
        standards=(),
        source_kind=SourceKind.LEARNER,
        source_date=None,
        raised_on=DAY,
        summary="…",
        action=None,
    )


DECISIONS: dict[str, Callable[[Proposal], object]] = {
    "accept": lambda one: one.accept(uuid4(), "Because.", DAY),
    "merge": lambda one: one.merge(concern(), "Because.", DAY),
    "dismiss": lambda one: one.dismiss(DismissalReason.OTHER, "Because.", DAY),
    "raise_at_once": lambda one: one.raise_at_once(uuid4(), DAY),
    "gather": lambda one: one.gather(draft(Evidence(signal(2), ("second-rule",))), (), ORDER),
}


@pytest.mark.parametrize("command", DECISIONS)
@pytest.mark.parametrize("state", [state for state in ProposalState if state is not ProposalState.PROPOSED])
def test_what_is_decided_takes_no_further_command(state: ProposalState, command: str) -> None:
    with pytest.raises(NotInThisState, match="has to be proposed"):
        DECISIONS[command](proposal(state=state))


def test_every_command_is_tried_here() -> None:
    assert set(DECISIONS) == set(ProposalCommand)
    assert set(MACHINE.commands(ProposalState.PROPOSED)) == set(ProposalCommand)


@pytest.mark.parametrize("rationale", ["", "  "])
def test_a_person_gives_a_reason(rationale: str) -> None:
    with pytest.raises(RuleBroken, match="rationale"):
        proposal().accept(uuid4(), rationale, DAY)
    with pytest.raises(RuleBroken, match="rationale"):
        proposal().merge(concern(), rationale, DAY)
    with pytest.raises(RuleBroken, match="rationale"):
        proposal().dismiss(DismissalReason.OTHER, rationale, DAY)


def test_each_decision_notes_what_it_led_to() -> None:
    target = concern()
    assert (merged := proposal().merge(target, "Why.", DAY)).concern_id == target.id
    assert (merged.state, merged.version, merged.decided_on) == (ProposalState.MERGED, 2, DAY)
    dismissed, event = proposal().dismiss(DismissalReason.CORRECTED, "Why.", DAY)
    assert (dismissed.state, dismissed.dismissal, dismissed.concern_id) == ("dismissed", event.reason, None)
    raised = proposal().raise_at_once(target.id, DAY)
    assert (raised.state, raised.concern_id) == ("raised_at_once", target.id)


def test_another_providers_concern_takes_nothing_over() -> None:
    with pytest.raises(RuleBroken, match="another provider"):
        proposal().merge(concern(replace(TRUST, ods_code="FICTHT002")), "Why.", DAY)


def test_what_adds_nothing_changes_nothing() -> None:
    before = proposal()
    assert before.gather(draft(Evidence(signal(1), ("first-rule",))), before.standards, ORDER) is before


def test_a_proposal_gathers_evidence_rules_and_standards() -> None:
    later = Evidence(signal(2, on=date(2026, 1, 1)), ("second-rule",))
    more = proposal(rules=("second-rule",)).gather(draft(later), ("1.1", "3.5"), ORDER)
    assert [one.signal.id for one in more.evidence] == [later.signal.id, signal(1).id]
    assert (more.rules, more.standards) == (("first-rule", "second-rule"), ("1.1", "3.5"))
    assert (more.policy_version, more.version) == ("policy-2", 2)


def test_evidence_that_was_corrected_stands_in_its_present_form() -> None:
    corrected = Evidence(signal(1, revision=2), ("second-rule",))
    more = proposal().gather(draft(corrected), ("1.1",), ORDER)
    assert [(one.signal.revision, one.rules) for one in more.evidence] == [(2, ("first-rule", "second-rule"))]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_gathering_twice_is_gathering_once(numbers: list[int]) -> None:
    news = draft(*(Evidence(signal(number), ("second-rule",)) for number in sorted(set(numbers))))
    once = proposal().gather(news, ("1.1",), ORDER)
    assert once.gather(news, ("1.1",), ORDER) is once
    assert len({one.signal.id for one in once.evidence}) == len(once.evidence) == len({1, *numbers})


def test_the_event_names_flags_and_items_and_no_more_than_the_contract_holds() -> None:
    evidence = tuple(Evidence(signal(number), ("first-rule",)) for number in range(1, 151))
    flag = Evidence(signal(500, SignalKind.FLAG), ("first-rule",))
    event = proposal(evidence=(*evidence, flag)).proposed()
    assert len(event.item_ids) == 100
    assert event.item_ids[-1] == UUID(int=150)
    assert event.flag_ids == [UUID(int=500)]
    assert (event.source_kinds, event.raised_at_once) == ([SourceKind.LEARNER], False)


@pytest.mark.parametrize(
    ("then", "programme", "group", "expected"),
    [
        (Then.RAISE_AT_ONCE, "Surgery", LearnerGroup.MEDICAL, True),
        (Then.RAISE_AT_ONCE, None, LearnerGroup.MEDICAL, False),
        (Then.RAISE_AT_ONCE, "Surgery", None, False),
        (Then.PROPOSE, "Surgery", LearnerGroup.MEDICAL, False),
    ],
)
def test_only_what_cannot_wait_and_says_all_is_raised_at_once(
    then: Then, programme: str | None, group: LearnerGroup | None, expected: bool
) -> None:
    scope = Scope("FICTHT001", None, programme, group)
    assert may_be_raised(replace(draft(then=then), scope=scope)) is expected


@pytest.mark.parametrize(
    ("report_type", "kind", "survey"),
    [
        ("nts", SourceKind.NTS, "nts"),
        ("NTS-provider", SourceKind.NTS, "nts"),
        ("nets-themes", SourceKind.NETS, "nets"),
        ("trainers", SourceKind.OTHER, "trainers"),
    ],
)
def test_a_report_is_of_a_survey(report_type: str, kind: SourceKind, survey: str) -> None:
    assert survey_of(report_type) == (kind, survey)
