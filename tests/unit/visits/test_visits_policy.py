"""The visit policy that ships, and what the days of a policy mean."""

from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from services.visits.domain.days import Counting, Span
from services.visits.domain.visit_policy import VisitPolicy
from services.visits.policies import finding_policy, visit_policy
from shared.contracts.fields import Category, VisitKind
from shared.reference.office_day import office_day

TODAY = date(2026, 11, 23)
LONG_AGO = date(2024, 8, 15)


def test_category_none_calls_for_no_visit() -> None:
    assert visit_policy().call(Category.NONE, LONG_AGO, TODAY) is None


@pytest.mark.parametrize(
    ("category", "kind", "latest"),
    [
        (Category.MINOR, VisitKind.DESKTOP_REVIEW, date(2024, 11, 13)),
        (Category.SIGNIFICANT, VisitKind.LEARNER_EDUCATOR_REVIEW, date(2024, 10, 11)),
        (Category.MAJOR, VisitKind.TRIGGERED_VISIT, date(2024, 9, 13)),
        (Category.TRAINING_SUSPENDED, VisitKind.URGENT_RISK_REVIEW, date(2024, 8, 22)),
    ],
)
def test_each_category_calls_for_its_kind_by_its_day(category: Category, kind: VisitKind, latest: date) -> None:
    # From 15 August 2024; the bank holiday of 26 August lies within the working days of categories 2 and 3.
    call = visit_policy().call(category, LONG_AGO, TODAY)
    assert call is not None
    assert (call.kind, call.latest_date, call.policy_version) == (kind, latest, "visit-policy-1")


def test_a_higher_category_calls_for_a_stronger_kind_and_sooner() -> None:
    calls = [visit_policy().call(category, LONG_AGO, TODAY) for category in list(Category)[1:]]
    dates = [call.latest_date for call in calls if call]
    assert dates == sorted(dates, reverse=True)
    assert len(set(dates)) == 4


def test_a_rating_dated_in_the_future_counts_from_today() -> None:
    for impossible in (date(2050, 1, 1), date.max):
        call = visit_policy().call(Category.TRAINING_SUSPENDED, impossible, TODAY)
        assert call is not None
        assert call.latest_date == date(2026, 11, 30)


def test_a_rating_of_the_distant_past_has_a_latest_date_too() -> None:
    call = visit_policy().call(Category.TRAINING_SUSPENDED, date.min, TODAY)
    assert call is not None
    assert call.latest_date.year == 1


def test_working_days_leave_out_weekends_and_bank_holidays_and_calendar_days_do_not() -> None:
    maundy_thursday = date(2024, 3, 28)
    assert Span(days=5, counted_in=Counting.WORKING_DAYS).after(maundy_thursday) == date(2024, 4, 8)
    assert Span(days=5, counted_in=Counting.CALENDAR_DAYS).after(maundy_thursday) == date(2024, 4, 2)


def test_the_day_is_that_of_england() -> None:
    assert office_day(datetime(2026, 6, 30, 23, 30, tzinfo=UTC)) == date(2026, 7, 1)
    assert office_day(datetime(2026, 12, 31, 23, 30, tzinfo=UTC)) == date(2026, 12, 31)


def test_the_policies_say_that_they_are_configuration() -> None:
    assert "not an NHS rule" in visit_policy().note
    assert "Configuration of this project" in finding_policy().note


def test_a_policy_without_a_rule_for_each_category_is_refused() -> None:
    whole = visit_policy().model_dump(mode="json")
    with pytest.raises(ValidationError, match="exactly one rule"):
        VisitPolicy.model_validate({**whole, "categories": whole["categories"][:4]})
    with pytest.raises(ValidationError, match="exactly one rule"):
        VisitPolicy.model_validate({**whole, "categories": [*whole["categories"], whole["categories"][0]]})


def test_a_policy_that_calls_for_a_regular_visit_is_refused() -> None:
    whole = visit_policy().model_dump(mode="json")
    whole["categories"][1]["calls_for"]["kind"] = "peer_visit"
    with pytest.raises(ValidationError, match="answers no risk"):
        VisitPolicy.model_validate(whole)
