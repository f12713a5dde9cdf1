"""From signals to proposals: which signals agree, in what time, and what the shipped policy makes of them."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.intelligence.domain.proposal_policy import ProposalPolicy, Then
from services.intelligence.domain.proposing import Draft, drafts, months_after
from services.intelligence.domain.signals import Closeness, Mark, Scope, Signal, SignalKind, closeness, group_said
from shared.policies import PolicyFiles
from shared.reference.kinds import LearnerGroup, SourceKind

FOLDER = Path(__file__).resolve().parents[3] / "services" / "intelligence" / "domain" / "policies"
POLICY = PolicyFiles(FOLDER, ProposalPolicy, current="proposal-policy-1").load()
DAY = date(2024, 5, 1)
SURGERY = Scope("FICTHT001", "FICTHT001A", "General surgery", LearnerGroup.MEDICAL)

_ids = count(1)


def item(
    source: SourceKind = SourceKind.LEARNER, on: date = DAY, scope: Scope = SURGERY, *marks: Mark, **more: Any
) -> Signal:
    return Signal(
        kind=SignalKind.ITEM,
        id=f"{next(_ids):04}",
        revision=1,
        scope=scope,
        standards=more.pop("standards", frozenset()),
        source=source.value,
        source_kind=source,
        on=on,
        marks=frozenset(marks),
        **more,
    )


def flag(*marks: Mark, on: date = DAY, scope: Scope = SURGERY) -> Signal:
    return replace(item(SourceKind.NTS, on, scope), kind=SignalKind.FLAG, marks=frozenset({Mark.RED, *marks}))


def propose(new: Iterable[Signal], known: Iterable[Signal] = ()) -> list[Draft]:
    return drafts(POLICY, list(new), list(known))


def evidence(draft: Draft) -> set[str]:
    return {one.signal.id for one in draft.evidence}


# The shipped rules ------------------------------------------------------------------------------------------------


def test_a_triple_red_proposes_a_concern() -> None:
    (draft,) = propose([flag(Mark.TRIPLE_RED)])
    assert (draft.rules, draft.then, draft.scope) == (("triple-red",), Then.PROPOSE, SURGERY)
    assert draft.policy_version == "proposal-policy-1"


def test_one_red_flag_alone_proposes_nothing() -> None:
    assert propose([flag()]) == []


def test_triple_reds_of_several_indicators_in_one_place_are_one_proposal() -> None:
    both = [flag(Mark.TRIPLE_RED), flag(Mark.TRIPLE_RED)]
    (draft,) = propose(both)
    assert evidence(draft) == {one.id for one in both}


def test_triple_reds_at_two_sites_are_two_proposals() -> None:
    elsewhere = replace(SURGERY, site_code="FICTHT001B")
    found = propose([flag(Mark.TRIPLE_RED), flag(Mark.TRIPLE_RED, scope=elsewhere)])
    assert [draft.scope for draft in found] == [SURGERY, elsewhere]


@pytest.mark.parametrize("red_comes_last", [True, False])
def test_a_red_with_a_patient_safety_comment_proposes_whichever_comes_last(red_comes_last: bool) -> None:
    red, comment = flag(), item(SourceKind.NTS, DAY, SURGERY, Mark.PATIENT_SAFETY)
    new, known = (red, comment) if red_comes_last else (comment, red)
    (draft,) = propose([new], [known])
    assert draft.rules == ("red-with-patient-safety-comment",)
    assert evidence(draft) == {red.id, comment.id}


def test_a_red_and_a_comment_on_something_else_propose_nothing() -> None:
    assert propose([flag()], [item(SourceKind.NTS)]) == []


@pytest.mark.parametrize(
    ("first", "second", "agree"),
    [
        (date(2024, 1, 31), date(2024, 7, 31), True),
        (date(2024, 1, 31), date(2024, 8, 1), False),
        (date(2023, 8, 31), date(2024, 2, 29), True),
        (date(2023, 8, 31), date(2024, 3, 1), False),
        (date(2024, 5, 1), date(2024, 5, 1), True),
    ],
)
def test_two_sources_agree_within_six_calendar_months(first: date, second: date, agree: bool) -> None:
    older, newer = item(SourceKind.LEARNER, first), item(SourceKind.HEAD_OF_SCHOOL, second)
    for new, known in ((newer, older), (older, newer)):
        found = propose([new], [known])
        assert bool(found) is agree
        assert all(draft.rules == ("two-sources-agree",) for draft in found)


def test_two_reports_of_one_source_do_not_confirm_each_other() -> None:
    assert propose([item()], [item()]) == []


def test_what_came_before_does_not_hide_what_came_after() -> None:
    earlier, news, later = item(), item(on=date(2024, 8, 1)), item(SourceKind.EDUCATOR, date(2024, 12, 1))
    (draft,) = propose([news], [earlier, later])
    assert evidence(draft) == {news.id, later.id}


def test_a_red_flag_is_a_source_that_can_agree() -> None:
    (draft,) = propose([item(SourceKind.HEAD_OF_SCHOOL)], [flag()])
    assert draft.rules == ("two-sources-agree",)


@pytest.mark.parametrize(
    ("changes", "agree"),
    [
        ({}, True),
        ({"site_code": None}, True),
        ({"site_code": "FICTHT001B"}, False),
        ({"programme": "general  SURGERY"}, True),
        ({"programme": "Urology"}, False),
        ({"programme": None}, False),
        ({"learner_group": None}, True),
        ({"learner_group": LearnerGroup.MULTI_PROFESSIONAL}, True),
        ({"learner_group": LearnerGroup.NURSING}, False),
        ({"provider_code": "FICTHT002"}, False),
    ],
)
def test_sources_agree_on_a_scope_that_they_do_not_contradict(changes: dict[str, Any], agree: bool) -> None:
    other = item(SourceKind.UNIVERSITY, DAY, replace(SURGERY, **changes))
    found = propose([item()], [other])
    assert bool(found) is agree
    assert [draft.scope.key for draft in found] == [SURGERY.key] * agree


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [({"1.1"}, {"1.1", "3.5"}, True), ({"1.1"}, {"3.5"}, False), ({"1.1"}, set(), True), (set(), set(), True)],
)
def test_sources_that_name_standards_agree_on_one(one: set[str], other: set[str], agree: bool) -> None:
    found = propose(
        [item(standards=frozenset(one))], [item(SourceKind.UNIVERSITY, DAY, SURGERY, standards=frozenset(other))]
    )
    assert bool(found) is agree
    assert all(draft.standards == one | other for draft in found)


def test_an_immediate_safety_report_is_raised_at_once() -> None:
    (draft,) = propose([item(SourceKind.LEARNER, DAY, SURGERY, Mark.IMMEDIATE, Mark.PATIENT_SAFETY)])
    assert (draft.rules, draft.then) == (("immediate-safety-report",), Then.RAISE_AT_ONCE)


def test_what_is_to_be_raised_at_once_is_not_held_back_by_another_rule() -> None:
    urgent = item(SourceKind.LEARNER, DAY, SURGERY, Mark.IMMEDIATE)
    (draft,) = propose([urgent], [item(SourceKind.EDUCATOR)])
    assert draft.rules == ("two-sources-agree", "immediate-safety-report")
    assert draft.then is Then.RAISE_AT_ONCE
    assert {one.signal.id: one.rules for one in draft.evidence}[urgent.id] == draft.rules


def test_what_was_known_proposes_nothing_without_news() -> None:
    assert propose([], [flag(Mark.TRIPLE_RED), item(), item(SourceKind.UNIVERSITY)]) == []
    assert propose([item(SourceKind.GMC, DAY, Scope("FICTHT002"))], [flag(Mark.TRIPLE_RED)]) == []


def test_news_about_the_whole_programme_is_not_repeated_for_each_site() -> None:
    everywhere = replace(SURGERY, site_code=None)
    school, learner = item(SourceKind.HEAD_OF_SCHOOL, DAY, everywhere), item(SourceKind.LEARNER, DAY, everywhere)
    reds = [flag(scope=replace(SURGERY, site_code=code)) for code in ("FICTHT001A", "FICTHT001B")]
    (draft,) = propose([school], [learner, *reds])
    assert (draft.scope, evidence(draft)) == (everywhere, {school.id, learner.id})


def test_a_comment_on_a_programme_goes_with_the_red_flag_of_each_site() -> None:
    comment = item(SourceKind.NTS, DAY, replace(SURGERY, site_code=None), Mark.PATIENT_SAFETY)
    reds = [flag(scope=replace(SURGERY, site_code=code)) for code in ("FICTHT001A", "FICTHT001B")]
    found = propose([comment], reds)
    assert [(d.scope.site_code, evidence(d)) for d in found] == [
        ("FICTHT001A", {comment.id, reds[0].id}),
        ("FICTHT001B", {comment.id, reds[1].id}),
    ]


# What holds for any signals ---------------------------------------------------------------------------------------

_sites = st.sampled_from([None, "FICTHT001A", "FICTHT001B"])
_groups = st.sampled_from([None, LearnerGroup.MEDICAL, LearnerGroup.NURSING, LearnerGroup.MULTI_PROFESSIONAL])
_scopes = st.builds(
    Scope, st.sampled_from(["FICTHT001", "FICTHT002"]), _sites, st.sampled_from([None, "Surgery", "surgery "]), _groups
)


@st.composite
def signals(draw: st.DrawFn) -> list[Signal]:
    return [
        Signal(
            kind=SignalKind.ITEM,
            id=str(number),
            revision=1,
            scope=draw(_scopes),
            standards=draw(st.frozensets(st.sampled_from(["1.1", "3.5"]), max_size=2)),
            source=(source := draw(st.sampled_from(list(SourceKind)[:4]))).value,
            source_kind=source,
            on=DAY + timedelta(days=draw(st.integers(0, 500))),
            marks=draw(st.frozensets(st.sampled_from(list(Mark)[:3]), max_size=2)),
        )
        for number in range(draw(st.integers(0, 9)))
    ]


def agree(one: Signal, other: Signal) -> bool:
    """As the policy's note says it, for two signals."""

    def fits(a: object, b: object) -> bool:
        return a is None or b is None or a == b

    return (
        one.scope.provider_code == other.scope.provider_code
        and (one.scope.programme or "").strip().lower() == (other.scope.programme or "").strip().lower()
        and fits(one.scope.site_code, other.scope.site_code)
        and fits(group_said(one.scope), group_said(other.scope))
        and (not one.standards or not other.standards or bool(one.standards & other.standards))
    )


@given(everything=signals(), cut=st.integers(0, 9), seed=st.integers(0, 1000))
def test_the_order_in_which_signals_are_known_makes_no_difference(
    everything: list[Signal], cut: int, seed: int
) -> None:
    new, known = everything[:cut], everything[cut:]
    found = propose(new, known)
    mixed = random.Random(seed)
    mixed.shuffle(new)
    mixed.shuffle(known)
    assert propose(new, known) == found


@given(everything=signals(), cut=st.integers(0, 9))
def test_every_draft_rests_on_news_of_one_place_and_says_why(everything: list[Signal], cut: int) -> None:
    new = {signal.id for signal in everything[:cut]}
    found = propose(everything[:cut], everything[cut:])
    assert len({draft.scope.key for draft in found}) == len(found)
    for draft in found:
        assert evidence(draft) & new
        assert draft.rules
        assert {code for one in draft.evidence for code in one.rules} == set(draft.rules)
        assert {closeness(one.signal.scope, draft.scope) for one in draft.evidence} <= {
            Closeness.SAME,
            Closeness.WITHIN,
        }


@given(everything=signals(), cut=st.integers(0, 9))
def test_a_source_that_is_confirmed_is_never_passed_over(everything: list[Signal], cut: int) -> None:
    new = everything[:cut]
    confirmed = {
        one.id
        for one in new
        for other in everything
        if one.source != other.source
        and agree(one, other)
        and max(one.on, other.on) <= months_after(min(one.on, other.on), 6)
    }
    used = {
        piece.signal.id
        for draft in propose(new, everything[cut:])
        for piece in draft.evidence
        if "two-sources-agree" in piece.rules
    }
    assert confirmed <= used
    assert used & {one.id for one in new} <= confirmed


@given(everything=signals(), cut=st.integers(0, 9))
def test_a_triple_red_is_never_passed_over(everything: list[Signal], cut: int) -> None:
    new = everything[:cut]
    used = {
        piece.signal.id
        for draft in propose(new, everything[cut:])
        for piece in draft.evidence
        if "triple-red" in piece.rules
    }
    assert {one.id for one in new if Mark.TRIPLE_RED in one.marks} <= used


@given(day=st.dates(date(2000, 1, 1), date(2090, 1, 1)), months=st.integers(0, 60))
def test_months_after_a_day_is_the_same_day_or_the_last_of_the_month(day: date, months: int) -> None:
    later = months_after(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == day.day or (later.day < day.day and (later + timedelta(days=1)).day == 1)


# How near two scopes are ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Closeness.SAME),
        ({"programme": " general surgery"}, Closeness.SAME),
        ({"site_code": None}, Closeness.WITHIN),
        ({"programme": None, "site_code": None, "learner_group": None}, Closeness.WITHIN),
        ({"learner_group": LearnerGroup.MULTI_PROFESSIONAL}, Closeness.WITHIN),
        ({"site_code": "FICTHT001B"}, Closeness.SAME_PROGRAMME),
        ({"learner_group": LearnerGroup.NURSING}, Closeness.SAME_PROGRAMME),
        ({"programme": "Urology"}, None),
        ({"programme": None, "site_code": "FICTHT001B"}, None),
        ({"provider_code": "FICTHT002"}, None),
    ],
)
def test_how_near_another_scope_is(changes: dict[str, Any], expected: Closeness | None) -> None:
    other = replace(SURGERY, **changes)
    assert closeness(SURGERY, other) is expected
    assert closeness(other, SURGERY) is expected


# What a policy may say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"then": "raise_at_once"}, "only an immediate safety report"),
        ({"when": {}}, "two sources or more"),
        ({"when": {"marks": ["crimson"]}}, "Input should be 'red'"),
        ({"when": {"sources": 2, "within_months": 61}}, "less than or equal to 60"),
        ({"code": "two-sources-agree"}, "used twice: two-sources-agree"),
        ({"whem": {}}, "Extra inputs"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_with_the_reason(change: dict[str, Any], complaint: str) -> None:
    content = POLICY.model_dump(mode="json")
    content["rules"][0] |= change
    with pytest.raises(ValidationError, match=complaint):
        ProposalPolicy.model_validate(content)


def test_the_shipped_policy_says_whose_it_is_and_when_surveys_speak_of() -> None:
    assert "not an NHS rule" in POLICY.note
    assert POLICY.survey_day("NTS", 2024) == date(2024, 5, 1)
    assert POLICY.survey_day("another", 2024) == date(2024, 7, 1)
    assert POLICY.title("triple-red")
