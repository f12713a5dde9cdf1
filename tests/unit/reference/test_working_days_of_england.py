"""Working days: weekends, bank holidays with their substitutes, and proclaimed ones."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.reference.working_days import add_working_days, is_working_day, working_days_between

DAYS = st.dates(date(2015, 1, 1), date(2035, 12, 31))


def test_five_working_days_from_a_thursday_end_on_the_next_thursday() -> None:
    assert add_working_days(date(2024, 8, 15), 5) == date(2024, 8, 22)


def test_five_working_days_skip_a_bank_holiday() -> None:
    assert add_working_days(date(2024, 8, 22), 5) == date(2024, 8, 30)


@pytest.mark.parametrize(
    ("day", "why"),
    [
        (date(2021, 12, 27), "substitute for Christmas Day, a Saturday"),
        (date(2021, 12, 28), "substitute for Boxing Day, a Sunday"),
        (date(2022, 12, 27), "substitute for Christmas Day, a Sunday"),
        (date(2022, 1, 3), "substitute for New Year's Day, a Saturday"),
        (date(2024, 3, 29), "Good Friday"),
        (date(2024, 4, 1), "Easter Monday"),
        (date(2022, 6, 2), "spring bank holiday, moved"),
        (date(2022, 6, 3), "Platinum Jubilee"),
        (date(2022, 9, 19), "state funeral"),
        (date(2023, 5, 8), "coronation"),
        (date(2024, 8, 31), "a Saturday"),
        (date(2024, 9, 1), "a Sunday"),
    ],
)
def test_it_is_no_working_day(day: date, why: str) -> None:
    assert not is_working_day(day), why


@pytest.mark.parametrize(
    ("day", "why"),
    [
        (date(2022, 5, 30), "the last Monday of May, whose holiday moved to June in 2022"),
        (date(2024, 1, 2), "a bank holiday in Scotland only"),
        (date(2024, 3, 18), "a bank holiday in Northern Ireland only"),
        (date(2024, 8, 5), "a bank holiday in Scotland only"),
        (date(2021, 12, 29), "after the two substitute days"),
        (date(2024, 12, 24), "Christmas Eve, a Tuesday"),
    ],
)
def test_it_is_a_working_day(day: date, why: str) -> None:
    assert is_working_day(day), why


def test_counting_over_christmas_skips_holidays_weekend_and_new_year() -> None:
    assert add_working_days(date(2024, 12, 24), 5) == date(2025, 1, 3)


def test_counting_from_a_day_off_starts_with_the_next_working_day() -> None:
    assert add_working_days(date(2024, 8, 17), 1) == date(2024, 8, 19)


def test_no_working_days_after_a_day_off_is_the_next_working_day() -> None:
    assert add_working_days(date(2024, 8, 24), 0) == date(2024, 8, 27)
    assert add_working_days(date(2024, 8, 23), 0) == date(2024, 8, 23)


def test_the_working_days_between_thursdays_of_a_week_without_holiday_are_five() -> None:
    assert working_days_between(date(2024, 8, 15), date(2024, 8, 22)) == 5
    assert working_days_between(date(2024, 8, 22), date(2024, 8, 15)) == -5


@given(DAYS, st.integers(-60, 60))
def test_counting_forward_and_measuring_agree(start: date, days: int) -> None:
    reached = add_working_days(start, days)
    assert is_working_day(reached)
    if days:
        assert working_days_between(start, reached) == days


@given(DAYS, st.integers(0, 40), st.integers(0, 40))
def test_the_measures_of_two_stretches_add_up(start: date, first: int, second: int) -> None:
    middle, end = start + timedelta(days=first), start + timedelta(days=first + second)
    assert working_days_between(start, end) == working_days_between(start, middle) + working_days_between(middle, end)
