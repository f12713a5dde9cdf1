"""The funding policy: from findings and a category to a lever, an amount and its reasons."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.funding import policies
from services.funding.domain import levers, policy
from services.funding.domain.levers import Direction
from services.funding.domain.policy import Policy, decide
from shared.contracts.fields import MAX_PENCE, AdjustmentReason, Category, FindingKind, Lever
from shared.policies import UnknownPolicy

GOOD, RECOMMENDED = FindingKind.GOOD_PRACTICE, FindingKind.RECOMMENDATION
REQUIRED, AT_ONCE = FindingKind.MANDATORY_REQUIREMENT, FindingKind.IMMEDIATE_MANDATORY_REQUIREMENT
SHIPPED = policies.policy()

FINDINGS = st.lists(st.sampled_from(FindingKind), max_size=12)
CATEGORIES = st.none() | st.sampled_from(Category)
POINTS = st.integers(0, 10_000)

_LEVERS = [
    (Lever.IMPROVEMENT_GRANT, AdjustmentReason.QUALITY_GOOD_PRACTICE),
    (Lever.NO_CHANGE, AdjustmentReason.QUALITY_OUTCOME),
    (Lever.ACTION_PLAN, AdjustmentReason.QUALITY_OUTCOME),
    (Lever.CONTRACT_NOTICE, AdjustmentReason.QUALITY_OUTCOME),
    (Lever.WITHHOLD, AdjustmentReason.QUALITY_OUTCOME),
    (Lever.RECLAIM, AdjustmentReason.QUALITY_OUTCOME),
    (Lever.SUSPEND, AdjustmentReason.QUALITY_OUTCOME),
]


@st.composite
def policies_of_any_operator(draw: st.DrawFn) -> Policy:
    """Any policy that the model accepts."""
    rules: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 6))):
        lever, reason = draw(st.sampled_from(_LEVERS))
        moves = levers.direction(lever) is not Direction.NONE
        rules.append(
            {
                "code": f"rule-{number}",
                "title": "…",
                "when": {
                    "requirements_at_least": draw(st.integers(0, 2)),
                    "category_at_least": draw(st.integers(0, 4)),
                },
                "lever": lever,
                "basis_points": draw(st.integers(1, 10_000)) if moves else 0,
                "reason": reason,
            }
        )
    return Policy.model_validate(
        {
            "version": "any",
            "status": "illustrative",
            "note": "…",
            "cap_taking_basis_points": draw(POINTS),
            "cap_giving_basis_points": draw(POINTS),
            "rules": rules,
        }
    )


def proposed(*findings: FindingKind, category: Category | None = None, total: int = 1_000_000_00) -> tuple[Lever, int]:
    result = decide(SHIPPED, findings, category, total_pence=total, remaining_pence=total)
    return result.lever, result.pence


@pytest.mark.parametrize(
    ("findings", "category", "lever", "pence"),
    [
        ([], None, Lever.NO_CHANGE, 0),
        ([GOOD], None, Lever.IMPROVEMENT_GRANT, 500_000),
        ([GOOD, GOOD], Category.MINOR, Lever.IMPROVEMENT_GRANT, 500_000),
        ([GOOD], Category.SIGNIFICANT, Lever.NO_CHANGE, 0),
        ([GOOD, RECOMMENDED], None, Lever.NO_CHANGE, 0),
        ([GOOD, REQUIRED], Category.MINOR, Lever.ACTION_PLAN, 0),
        ([REQUIRED], Category.SIGNIFICANT, Lever.CONTRACT_NOTICE, 0),
        ([REQUIRED] * 3, Category.MINOR, Lever.WITHHOLD, -1_000_000),
        ([AT_ONCE], Category.MINOR, Lever.WITHHOLD, -3_000_000),
        ([AT_ONCE, AT_ONCE], Category.MINOR, Lever.WITHHOLD, -5_000_000),
        ([REQUIRED], Category.MAJOR, Lever.RECLAIM, -5_000_000),
        ([AT_ONCE], Category.MAJOR, Lever.RECLAIM, -8_000_000),
        ([REQUIRED], Category.TRAINING_SUSPENDED, Lever.SUSPEND, -15_000_000),
    ],
)
def test_the_shipped_policy_answers_an_outcome_of_a_provider_with_a_million_pounds(
    findings: list[FindingKind], category: Category | None, lever: Lever, pence: int
) -> None:
    assert proposed(*findings, category=category) == (lever, pence)


def test_the_reasons_are_the_rules_that_apply_in_the_order_of_the_policy() -> None:
    result = decide(SHIPPED, [AT_ONCE, REQUIRED], Category.MAJOR, total_pence=10_000, remaining_pence=10_000)
    assert result.reasons == (
        "requirement",
        "requirement-on-significant-concern",
        "immediate-mandatory-requirement",
        "requirement-on-major-concern",
    )
    assert result.reason is AdjustmentReason.QUALITY_OUTCOME


def test_an_outcome_no_rule_speaks_of_changes_nothing_and_says_so() -> None:
    result = decide(SHIPPED, [], None, total_pence=10_000, remaining_pence=10_000)
    assert (result.lever, result.pence, result.reasons) == (Lever.NO_CHANGE, 0, (policy.NO_RULE,))


def test_the_cap_of_the_policy_holds_and_is_named_among_the_reasons() -> None:
    capped = SHIPPED.model_copy(update={"cap_taking_basis_points": 250})
    result = decide(capped, [AT_ONCE], Category.MAJOR, total_pence=1_000_000, remaining_pence=1_000_000)
    assert (result.lever, result.pence, result.reasons[-1]) == (Lever.RECLAIM, -25_000, policy.CAPPED)


def test_no_more_is_taken_than_the_agreement_has_left() -> None:
    result = decide(SHIPPED, [AT_ONCE], None, total_pence=1_000_000, remaining_pence=12_345)
    assert (result.lever, result.pence, result.reasons[-1]) == (Lever.WITHHOLD, -12_345, policy.LIMITED)


def test_what_is_taken_is_rounded_in_the_providers_favour() -> None:
    # 300 basis points of 199 pence are 5.97 pence.
    assert proposed(AT_ONCE, total=199) == (Lever.WITHHOLD, -5)


@pytest.mark.parametrize(
    ("finding", "lever"), [(AT_ONCE, Lever.ACTION_PLAN), (GOOD, Lever.NO_CHANGE)], ids=["taken", "given"]
)
def test_an_amount_that_rounds_to_nothing_becomes_a_lever_without_money(finding: FindingKind, lever: Lever) -> None:
    result = decide(SHIPPED, [finding], None, total_pence=30, remaining_pence=30)
    assert (result.lever, result.pence, result.reasons[-1]) == (lever, 0, policy.ROUNDED_AWAY)


def test_a_rule_that_gives_is_set_aside_where_another_takes() -> None:
    content = json.loads(SHIPPED.model_dump_json())
    content["rules"][0]["when"] = {}
    result = decide(Policy.model_validate(content), [AT_ONCE], None, total_pence=10_000, remaining_pence=10_000)
    assert (result.lever, result.pence) == (Lever.WITHHOLD, -300)
    assert "good-practice-only" not in result.reasons


@given(
    rules=st.just(SHIPPED) | policies_of_any_operator(),
    findings=FINDINGS,
    category=CATEGORIES,
    total=st.integers(1, MAX_PENCE),
    data=st.data(),
)
def test_amounts_are_integers_under_the_cap_that_fit_their_lever_whatever_the_policy(
    rules: Policy, findings: list[FindingKind], category: Category | None, total: int, data: st.DataObject
) -> None:
    remaining = data.draw(st.integers(0, total))
    result = decide(rules, findings, category, total_pence=total, remaining_pence=remaining)
    assert type(result.pence) is int
    levers.check(result.lever, result.pence, result.reason)
    assert -result.pence <= remaining
    assert -result.pence * 10_000 <= total * rules.cap_taking_basis_points
    assert result.pence * 10_000 <= total * rules.cap_giving_basis_points
    assert result.reasons
    assert len(set(result.reasons)) == len(result.reasons)


@given(findings=FINDINGS, category=CATEGORIES, total=st.integers(1, MAX_PENCE))
def test_the_exact_share_is_missed_by_less_than_a_penny_and_never_passed(
    findings: list[FindingKind], category: Category | None, total: int
) -> None:
    result = decide(SHIPPED, findings, category, total_pence=total, remaining_pence=total)
    points = sum(rule.basis_points for rule in SHIPPED.rules if rule.code in result.reasons)
    assert 0 <= total * points - abs(result.pence) * 10_000 < 10_000


@given(findings=FINDINGS, category=CATEGORIES)
def test_a_further_immediate_requirement_never_brings_money(
    findings: list[FindingKind], category: Category | None
) -> None:
    assert proposed(*findings, AT_ONCE, category=category)[1] <= proposed(*findings, category=category)[1]


def test_the_shipped_policy_says_that_it_is_illustrative_and_whose_it_is() -> None:
    assert SHIPPED.status == "illustrative"
    assert "operator" in SHIPPED.note
    assert SHIPPED.version == policies.CURRENT


def test_a_policy_that_is_not_shipped_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownPolicy, match=r"funding-policy-9.*Shipped: .*funding-policy-1"):
        policies.policy("funding-policy-9")
    with pytest.raises(UnknownPolicy):
        policies.policy("../policies/funding-policy-1")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"lever": "terminate"}, "for a person to propose"),
        ({"basis_points": 0}, "an amount of 0 says nothing"),
        ({"lever": "no_change", "basis_points": 5}, "moves no money"),
        ({"lever": "withhold", "reason": "quality_good_practice"}, "Good practice is no reason"),
        ({"lever": "suspend", "reason": "workforce_planning"}, "quality_outcome"),
        ({"basis_points": 10_001}, "less than or equal to 10000"),
        ({"basis_points": 1.0}, "valid integer"),
        ({"code": "requirement"}, "used twice: requirement"),
        ({"code": policy.CAPPED}, f"used twice: {policy.CAPPED}"),
        ({"whem": {}}, "Extra inputs"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_with_the_reason(change: dict[str, Any], complaint: str) -> None:
    content = json.loads(SHIPPED.model_dump_json())
    content["rules"][0] |= change
    with pytest.raises(ValidationError, match=complaint):
        Policy.model_validate(content)
