"""A flag says why it is so, in the numbers, the rule and its edition."""

from decimal import Decimal

import pytest

from services.intelligence.domain.flag_explanation import Compared, Interval, Numbers, sentences
from services.intelligence.policies import flag_rule
from shared.contracts.intelligence import SurveyFlag

RULE = flag_rule()
NUMBERS = Numbers(25, Decimal(50), Decimal(10))
COMPARED = Compared(5, Decimal(60), Decimal(80), Interval(Decimal(70), Decimal("3.0364")))


def test_a_red_flag_is_explained_by_its_numbers_and_its_benchmark() -> None:
    assert sentences(SurveyFlag.RED, True, NUMBERS, COMPARED, RULE) == [
        "25 people answered; the mean of their scores is 50.00, with a 95 % interval from 46.08 to 53.92 "
        "(mean ± 1.96 · 10.00 / √25).",
        "Its benchmark group has 5 results with 3 respondents or more, whose means have the quartiles 60.00 and 80.00; "
        "the mean of all respondents is 70.00, with a 95 % interval from 66.96 to 73.04.",
        "The mean is below the lower quartile.",
        "The two intervals do not even touch: red.",
        "It was red in each of the 2 years before too.",
        "Flagged by edition nts-2026-1 of the rule.",
    ]


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        (SurveyFlag.PINK, ["The mean is below the lower quartile.", "The two intervals overlap or touch: pink."]),
        (SurveyFlag.GREEN, ["The mean is above the upper quartile.", "The two intervals do not even touch: green."]),
        (
            SurveyFlag.LIGHT_GREEN,
            ["The mean is above the upper quartile.", "The two intervals overlap or touch: light-green."],
        ),
        (SurveyFlag.WHITE, ["The mean is between the quartiles, or on one of them: it does not stand out."]),
    ],
)
def test_each_colour_says_where_the_mean_lies(flag: SurveyFlag, said: list[str]) -> None:
    assert sentences(flag, False, NUMBERS, COMPARED, RULE)[2:-1] == said


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        (SurveyFlag.GREY, "Fewer than 3 people answered: no score is published."),
        (SurveyFlag.YELLOW, "Nobody answered."),
    ],
)
def test_without_a_score_there_are_no_numbers(flag: SurveyFlag, said: str) -> None:
    assert sentences(flag, False, None, COMPARED, RULE) == [said, "Flagged by edition nts-2026-1 of the rule."]


def test_what_may_not_be_shown_is_not_in_the_sentences() -> None:
    said = " ".join(sentences(SurveyFlag.RED, False, None, None, RULE))
    assert said.count("withheld:") == 2
    assert not any(digit in said.replace("nts-2026-1", "") for digit in "0123456789")
