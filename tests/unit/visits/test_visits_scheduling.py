"""What must be right to schedule a visit, and what may become wrong with it."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from services.visits.domain.concern import Concern
from services.visits.domain.errors import Violation
from services.visits.domain.panel import PoolMember, Seat
from services.visits.domain.requirement import Requirement, RequirementState
from services.visits.domain.visit import ProblemCode, Visit, VisitState, check, problems
from shared.contracts.fields import Category, PanelRole, VisitKind
from shared.rules import NotInThisState

TODAY = date(2026, 11, 23)
CONCERN = Concern(UUID(int=1), "C-1", "FICTHT001")
REQUIREMENT = Requirement(
    id=UUID(int=2),
    concern_id=CONCERN.id,
    number=1,
    provider_code="FICTHT001",
    category=Category.MAJOR,
    kind=VisitKind.TRIGGERED_VISIT,
    latest_date=date(2026, 12, 14),
    policy_version="visit-policy-1",
)
CHAIR = PoolMember(UUID(int=3), True, frozenset({PanelRole.CHAIR}), frozenset())
LAY = PoolMember(UUID(int=4), True, frozenset({PanelRole.LAY_PARTNER}), frozenset())
POOL = {CHAIR.id: CHAIR, LAY.id: LAY}
VISIT = Visit(
    id=UUID(int=5),
    provider_code="FICTHT001",
    site_code=None,
    parent_code="FICTLC001",
    kind=VisitKind.TRIGGERED_VISIT,
    visit_date=date(2026, 12, 1),
    concern_ids=(CONCERN.id,),
    requirement_ids=(REQUIREMENT.id,),
    panel=(Seat(CHAIR.id, PanelRole.CHAIR), Seat(LAY.id, PanelRole.LAY_PARTNER)),
    reason=None,
    late_reason=None,
    scheduled_at=datetime(2026, 11, 23, tzinfo=UTC),
)


def violations(**changes: Any) -> list[Violation]:
    arguments: dict[str, Any] = {
        "provider_code": "FICTHT001",
        "kind": VisitKind.TRIGGERED_VISIT,
        "visit_date": date(2026, 12, 1),
        "late_reason": None,
        "requirement_ids": [REQUIREMENT.id],
        "concern_ids": [],
        "requirements": {REQUIREMENT.id: REQUIREMENT},
        "concerns": {CONCERN.id: CONCERN},
        "today": TODAY,
    }
    return check(**{**arguments, **changes})


def fields(**changes: Any) -> list[str]:
    return [violation.field for violation in violations(**changes)]


def test_a_visit_of_the_kind_required_in_time_is_right() -> None:
    assert violations() == []


def test_a_visit_may_be_today_but_not_before() -> None:
    assert violations(visit_date=TODAY) == []
    assert fields(visit_date=date(2026, 11, 22)) == ["visit_date"]


def test_a_weaker_kind_does_not_meet_the_requirement_and_a_stronger_one_does() -> None:
    assert fields(kind=VisitKind.DESKTOP_REVIEW) == ["kind"]
    assert fields(kind=VisitKind.PEER_VISIT) == ["kind"]
    assert fields(kind=VisitKind.URGENT_RISK_REVIEW) == []


def test_a_visit_later_than_required_says_why() -> None:
    assert fields(visit_date=date(2026, 12, 15)) == ["late_reason"]
    assert fields(visit_date=date(2026, 12, 15), late_reason="The trust merges that week") == []


def test_unknown_and_foreign_requirements_and_concerns_are_named_by_their_place() -> None:
    foreign = replace(REQUIREMENT, id=UUID(int=8), provider_code="FICTHT002")
    elsewhere = replace(CONCERN, id=UUID(int=9), provider_code="FICTHT002")
    assert fields(
        requirement_ids=[REQUIREMENT.id, foreign.id, UUID(int=10)],
        concern_ids=[elsewhere.id, UUID(int=11), CONCERN.id],
        requirements={REQUIREMENT.id: REQUIREMENT, foreign.id: foreign},
        concerns={CONCERN.id: CONCERN, elsewhere.id: elsewhere},
    ) == ["requirement_ids.1", "requirement_ids.2", "concern_ids.0", "concern_ids.1"]


def test_nothing_is_named_twice() -> None:
    assert fields(requirement_ids=[REQUIREMENT.id] * 2) == ["requirement_ids.1"]
    assert fields(concern_ids=[CONCERN.id] * 2) == ["concern_ids.1"]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (VisitKind.ANNUAL_QUALITY_REVIEW, []),
        (VisitKind.PEER_VISIT, []),
        (VisitKind.FOLLOW_UP_VISIT, ["concern_ids"]),
        (VisitKind.TRIGGERED_VISIT, ["requirement_ids"]),
    ],
)
def test_only_a_regular_visit_needs_no_concern(kind: VisitKind, wanted: list[str]) -> None:
    assert fields(kind=kind, requirement_ids=[]) == wanted
    assert fields(kind=kind, requirement_ids=[], concern_ids=[CONCERN.id]) == []


def test_a_visit_as_it_was_scheduled_has_no_problem() -> None:
    assert problems(VISIT, POOL, [replace(REQUIREMENT, state=RequirementState.SCHEDULED)]) == []


@pytest.mark.parametrize("code", ["FICTHT001", "FICTLC001"])
def test_a_conflict_declared_later_blocks_the_outcome(code: str) -> None:
    (problem,) = problems(VISIT, {**POOL, LAY.id: replace(LAY, conflicts=frozenset({code}))}, [])
    assert (problem.code, problem.person_id, problem.blocks_outcome) == (ProblemCode.CONFLICT_OF_INTEREST, LAY.id, True)


def test_what_else_changed_is_shown_and_blocks_nothing() -> None:
    stronger = replace(REQUIREMENT, kind=VisitKind.URGENT_RISK_REVIEW, latest_date=date(2026, 11, 30))
    found = problems(VISIT, {**POOL, CHAIR.id: replace(CHAIR, active=False)}, [stronger])
    assert {problem.code: problem.blocks_outcome for problem in found} == {
        ProblemCode.PERSON_INACTIVE: False,
        ProblemCode.WEAKER_THAN_REQUIRED: False,
        ProblemCode.LATER_THAN_REQUIRED: False,
    }
    (lapsed,) = problems(VISIT, POOL, [replace(REQUIREMENT, called_for=False)])
    assert (lapsed.code, lapsed.blocks_outcome) == (ProblemCode.NO_LONGER_CALLED_FOR, False)


def test_a_visit_that_is_over_has_no_problems_and_cannot_be_changed() -> None:
    conflicted = {**POOL, LAY.id: replace(LAY, conflicts=frozenset({"FICTHT001"}))}
    for state in (VisitState.COMPLETED, VisitState.CANCELLED):
        over = replace(VISIT, state=state)
        assert problems(over, conflicted, [REQUIREMENT]) == []
        with pytest.raises(NotInThisState):
            over.require_scheduled()


def test_what_a_visit_brings_about_belongs_to_its_first_concern_or_to_itself() -> None:
    assert VISIT.correlation_id == CONCERN.id
    assert replace(VISIT, concern_ids=()).correlation_id == VISIT.id
