"""The financial year and how it is written."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.reference.financial_year import FinancialYear, InvalidFinancialYear


def test_a_year_runs_from_1_april_to_31_march() -> None:
    year = FinancialYear.parse("2024-25")
    assert (year.start, year.end) == (date(2024, 4, 1), date(2025, 3, 31))
    assert FinancialYear.of(date(2024, 3, 31)).label == "2023-24"
    assert FinancialYear.of(date(2024, 4, 1)).label == "2024-25"


def test_the_turn_of_a_century_is_written_with_two_digits() -> None:
    assert FinancialYear(2099).label == "2099-00"
    assert FinancialYear.parse("2099-00") == FinancialYear(2099)


@given(st.dates(date(2000, 1, 1), date(2098, 12, 31)))
def test_a_day_lies_in_its_year_and_the_label_leads_back_to_it(day: date) -> None:
    year = FinancialYear.of(day)
    assert day in year
    assert FinancialYear.parse(str(year)) == year


def test_years_are_in_the_order_of_time() -> None:
    assert FinancialYear(2023) < FinancialYear(2024)


@pytest.mark.parametrize("label", ["2024", "2024-26", "2024/25", "24-25", "2024-2025", " 2024-25", "", "２０２４-25"])
def test_a_label_that_names_no_year_is_refused_with_an_example(label: str) -> None:
    with pytest.raises(InvalidFinancialYear, match="as in 2024-25"):
        FinancialYear.parse(label)
