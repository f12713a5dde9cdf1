"""What becomes of a visit requirement."""

from dataclasses import replace
from datetime import date
from uuid import UUID, uuid4

import pytest

from services.visits.domain import requirement as rules
from services.visits.domain.concern import Concern, highest_category
from services.visits.domain.kinds import RISK_LED, meets
from services.visits.domain.requirement import Requirement, RequirementState, Step
from services.visits.policies import visit_policy
from shared.contracts.fields import Category, VisitKind
from shared.rules import NotInThisState

CONCERN = Concern(UUID(int=7), "C-1", "FICTHT001")
FIRST = date(2024, 8, 1)
LATER = date(2024, 8, 29)


def rate(current: Requirement | None, category: Category, on: date = FIRST, concern: Concern = CONCERN) -> Step | None:
    call = visit_policy().call(category, on, date(2026, 1, 1))
    return rules.after_rating(concern, current, category, call)


def opened(category: Category, on: date = FIRST) -> Requirement:
    step = rate(None, category, on)
    assert step is not None
    return step.requirement


def test_the_first_rating_opens_a_requirement_and_tells_of_it() -> None:
    step = rate(None, Category.MAJOR)
    assert step is not None
    assert (step.change, step.announce) == ("opened", True)
    assert step.requirement.state is RequirementState.OPEN
    assert step.requirement.kind is VisitKind.TRIGGERED_VISIT


def test_a_requirement_has_an_id_made_from_its_concern() -> None:
    assert opened(Category.MAJOR).id == opened(Category.MINOR).id
    other = rate(None, Category.MAJOR, concern=replace(CONCERN, id=UUID(int=8)))
    assert other is not None
    assert other.requirement.id != opened(Category.MAJOR).id


def test_a_rating_of_none_opens_nothing() -> None:
    assert rate(None, Category.NONE) is None


def test_the_same_rating_again_changes_nothing_and_gives_no_more_time() -> None:
    assert rate(opened(Category.MAJOR), Category.MAJOR) is None
    assert rate(opened(Category.MAJOR), Category.MAJOR, LATER) is None


def test_the_same_category_rated_for_an_earlier_day_is_due_earlier() -> None:
    step = rate(opened(Category.MAJOR, LATER), Category.MAJOR, FIRST)
    assert step is not None
    assert step.announce
    assert step.requirement.latest_date == opened(Category.MAJOR).latest_date


def test_a_higher_category_changes_kind_and_date() -> None:
    before = opened(Category.MINOR)
    step = rate(before, Category.TRAINING_SUSPENDED, LATER)
    assert step is not None
    after = step.requirement
    assert (after.id, after.kind, after.version) == (before.id, VisitKind.URGENT_RISK_REVIEW, before.version + 1)
    assert after.latest_date == date(2024, 9, 5)
    assert step.announce


def test_a_higher_category_never_gives_more_time_than_there_was() -> None:
    before = opened(Category.MINOR, date(2024, 5, 10))
    step = rate(before, Category.SIGNIFICANT, date(2024, 8, 7))
    assert step is not None
    assert step.requirement.latest_date == before.latest_date == date(2024, 8, 8)


def test_a_lower_category_has_its_own_kind_and_date() -> None:
    step = rate(opened(Category.MAJOR), Category.MINOR, LATER)
    assert step is not None
    assert (step.requirement.kind, step.requirement.latest_date) == (VisitKind.DESKTOP_REVIEW, date(2024, 11, 27))
    assert step.announce


def test_a_rating_down_to_none_withdraws_an_open_requirement_silently() -> None:
    step = rate(opened(Category.MAJOR), Category.NONE)
    assert step is not None
    assert (step.requirement.state, step.change, step.announce) == (RequirementState.WITHDRAWN, "withdrawn", False)
    assert rate(step.requirement, Category.NONE) is None


def test_a_withdrawn_requirement_is_called_for_again_under_the_same_id() -> None:
    withdrawn = rules.when_not_called_for(opened(Category.MAJOR))
    assert withdrawn is not None
    step = rate(withdrawn.requirement, Category.MINOR, LATER)
    assert step is not None
    assert (step.requirement.state, step.change, step.announce) == (RequirementState.OPEN, "called_for_again", True)
    assert step.requirement.id == withdrawn.requirement.id
    assert step.requirement.number == 1


def test_a_scheduled_requirement_keeps_its_visit_when_it_is_rated_anew() -> None:
    visit_id = uuid4()
    scheduled = rules.take_up(opened(Category.MINOR), visit_id).requirement
    step = rate(scheduled, Category.MAJOR, LATER)
    assert step is not None
    assert (step.requirement.state, step.requirement.visit_id) == (RequirementState.SCHEDULED, visit_id)
    assert step.requirement.kind is VisitKind.TRIGGERED_VISIT
    assert step.announce


def test_a_scheduled_requirement_keeps_its_visit_when_it_is_no_longer_called_for() -> None:
    scheduled = rules.take_up(opened(Category.MINOR), uuid4()).requirement
    step = rate(scheduled, Category.NONE)
    assert step is not None
    assert (step.requirement.state, step.requirement.called_for) == (RequirementState.SCHEDULED, False)
    assert rules.after_cancellation(step.requirement).requirement.state is RequirementState.WITHDRAWN
    again = rate(step.requirement, Category.MINOR)
    assert again is not None
    assert (again.requirement.state, again.requirement.called_for) == (RequirementState.SCHEDULED, True)


def test_a_cancelled_visit_leaves_its_requirement_open_again() -> None:
    step = rules.after_cancellation(rules.take_up(opened(Category.MAJOR), uuid4()).requirement)
    assert (step.requirement.state, step.requirement.visit_id) == (RequirementState.OPEN, None)


def test_only_an_open_requirement_can_be_taken_up() -> None:
    scheduled = rules.take_up(opened(Category.MAJOR), uuid4()).requirement
    met = rules.after_outcome(scheduled, VisitKind.TRIGGERED_VISIT).requirement
    withdrawn = rules.when_not_called_for(opened(Category.MAJOR))
    assert withdrawn is not None
    for requirement in (scheduled, met, withdrawn.requirement):
        with pytest.raises(NotInThisState, match=requirement.state.value):
            rules.take_up(requirement, uuid4())


def test_an_outcome_meets_a_requirement_unless_it_has_come_to_call_for_a_stronger_kind() -> None:
    scheduled = rules.take_up(opened(Category.MINOR), uuid4()).requirement
    met = rules.after_outcome(scheduled, VisitKind.DESKTOP_REVIEW)
    assert (met.requirement.state, met.announce) == (RequirementState.MET, False)
    risen = rate(scheduled, Category.MAJOR)
    assert risen is not None
    weak = rules.after_outcome(risen.requirement, VisitKind.DESKTOP_REVIEW)
    assert (weak.requirement.state, weak.requirement.visit_id, weak.announce) == (RequirementState.OPEN, None, True)


def test_a_visit_too_weak_for_a_requirement_that_is_no_longer_called_for_meets_it() -> None:
    scheduled = rules.take_up(opened(Category.MAJOR), uuid4()).requirement
    dropped = rate(scheduled, Category.NONE)
    assert dropped is not None
    step = rules.after_outcome(dropped.requirement, VisitKind.DESKTOP_REVIEW)
    assert (step.requirement.state, step.change, step.announce) == (RequirementState.MET, "met", False)


def test_after_a_visit_only_a_rise_in_category_opens_the_next_requirement() -> None:
    met = rules.after_outcome(
        rules.take_up(opened(Category.MAJOR), uuid4()).requirement, VisitKind.TRIGGERED_VISIT
    ).requirement
    concern = CONCERN.rated(Category.MAJOR).visited(met.category)
    assert rate(met, Category.MAJOR, LATER, concern) is None
    assert rate(met, Category.MINOR, LATER, concern) is None
    step = rate(met, Category.TRAINING_SUSPENDED, LATER, concern)
    assert step is not None
    assert (step.requirement.number, step.change) == (2, "opened")
    assert step.requirement.id != met.id


def test_after_a_visit_a_fall_and_a_rise_again_open_the_next_requirement() -> None:
    met = rules.after_outcome(
        rules.take_up(opened(Category.MAJOR), uuid4()).requirement, VisitKind.TRIGGERED_VISIT
    ).requirement
    fallen = CONCERN.rated(Category.MAJOR).visited(met.category).rated(Category.MINOR)
    step = rate(met, Category.SIGNIFICANT, LATER, fallen)
    assert step is not None
    assert step.requirement.number == 2


def test_after_reopening_earlier_visits_do_not_count() -> None:
    met = rules.after_outcome(
        rules.take_up(opened(Category.MAJOR), uuid4()).requirement, VisitKind.TRIGGERED_VISIT
    ).requirement
    reopened = CONCERN.rated(Category.MAJOR).visited(met.category).reopened()
    step = rate(met, Category.MINOR, LATER, reopened)
    assert step is not None
    assert step.requirement.number == 2


def test_a_visit_made_after_the_category_fell_counts_for_the_lower_one() -> None:
    assert CONCERN.rated(Category.MINOR).visited(Category.MAJOR).visited_category is Category.MINOR


def test_only_a_risk_led_kind_at_least_as_strong_meets_a_requirement() -> None:
    for place, required in enumerate(RISK_LED):
        assert [meets(kind, required) for kind in RISK_LED] == [False] * place + [True] * (len(RISK_LED) - place)
    for kind in set(VisitKind) - set(RISK_LED):
        assert not any(meets(kind, required) for required in RISK_LED)


def test_the_highest_category_is_that_of_the_open_concerns() -> None:
    major, minor = CONCERN.rated(Category.MAJOR), CONCERN.rated(Category.MINOR)
    assert highest_category([minor, major, CONCERN]) is Category.MAJOR
    assert highest_category([minor, replace(major, open=False)]) is Category.MINOR
    assert highest_category([CONCERN]) is None
