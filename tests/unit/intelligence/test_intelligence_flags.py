"""Flags of survey results: the rule's edges worked out by hand, and its promises for all results."""

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.intelligence.domain.flag_rule import FlagRule, UnknownReport
from services.intelligence.domain.flags import Scores, apart, benchmark_of
from services.intelligence.policies import flag_rule
from shared.contracts.intelligence import SurveyFlag
from tests.fixtures.survey_flags import Result, benchmark, flags_of, table_of

RULE = flag_rule()
Z = Fraction(49, 25)


def row(
    provider: str, mean: str | int | Decimal | None, sd: str | int | Decimal | None, n: int, **changes: Any
) -> Result:
    """A result of the one group that most tests are about."""
    return Result(
        **{
            "provider": provider,
            "site": "",
            "specialty": "General surgery",
            "indicator": "Induction",
            "year": 2024,
            "mean": None if mean is None else Decimal(mean),
            "sd": None if sd is None else Decimal(sd),
            "n": n,
            **changes,
        }
    )


def colours(rows: Sequence[Result], report: str | None = None) -> list[str]:
    return [one.flag.value for one in flags_of(rows, RULE, report)]


def others(mean: str | int = 70, sd: str | int = 5, n: int = 30, count: int = 4, **changes: Any) -> list[Result]:
    """Rows of one mean: beside four of them a fifth, lower row is alone in the bottom quartile (Q1 is their mean)."""
    return [row(f"OTHER{number}", mean, sd, n, **changes) for number in range(count)]


# Worked out by hand ------------------------------------------------------------------------------------------------


def test_a_group_worked_out_by_hand() -> None:
    # Means 50 60 70 80 90, so Q1 60 and Q3 80; all n 25, N 125; M 70.
    # Variance: within 10² = 100, between (20²+10²+0+10²+20²)/5 = 200; together 300.
    # Benchmark 70 ± 1.96·√(300/125) = 70 ± 1.96·1.54919 = 70 ± 3.0364; rows ± 1.96·10/5 = ± 3.92.
    rows = [row(str(mean), mean, 10, 25) for mean in (50, 60, 70, 80, 90)]
    assert colours(rows) == ["red", "white", "white", "white", "green"]
    compared = benchmark(rows)
    assert compared is not None
    assert (compared.results, compared.respondents) == (5, 125)
    assert (compared.lower_quartile, compared.upper_quartile, compared.mean) == (60, 80, 70)
    assert compared.variance == 300


def test_wide_intervals_make_pink_and_light_green() -> None:
    # As above with n 4 and sd 20: a row is ± 19.6, the benchmark 70 ± 1.96·√((400+200)/20) = ± 10.74.
    means = (50, 60, 70, 80, 90)
    assert colours([row(str(mean), mean, 20, 4) for mean in means]) == [
        "pink",
        "white",
        "white",
        "white",
        "light-green",
    ]


def test_quartiles_are_interpolated_and_a_mean_has_to_be_beyond_them() -> None:
    # Four means 10 20 30 40: Q1 is 10 + ¾·10 = 17.5, Q3 is 30 + ¼·10 = 32.5.
    rows = [row(str(mean), mean, 0, 10) for mean in (10, 20, 30, 40)]
    compared = benchmark(rows)
    assert compared is not None
    assert (compared.lower_quartile, compared.upper_quartile) == (Fraction(35, 2), Fraction(65, 2))
    assert colours(rows) == ["red", "white", "white", "green"]


def test_a_mean_on_the_quartile_is_between_the_quartiles() -> None:
    # Five means: the second is Q1 itself, the fourth Q3.
    means = ("10.1", "20.2", "30.3", "40.4", "50.5")
    assert colours([row(mean, mean, 0, 10) for mean in means]) == ["red", "white", "white", "white", "green"]


def test_rows_tied_on_the_quartile_are_all_white() -> None:
    # 10 10 10 40 50: Q1 is the second value, 10; nobody is below it. Q3 is 40.
    assert colours([row(str(i), mean, 0, 10) for i, mean in enumerate((10, 10, 10, 40, 50))]) == [
        "white",
        "white",
        "white",
        "white",
        "green",
    ]


def test_where_all_means_are_equal_nobody_stands_out() -> None:
    assert colours([row(str(i), "66.6", sd, 10) for i, sd in enumerate((0, 1, 5, 0))]) == ["white"] * 4


def test_a_group_of_one_is_white() -> None:
    assert colours([row("A", 3, 0, 3)]) == ["white"]


def test_in_a_group_of_two_each_is_beyond_a_quartile() -> None:
    # 40 and 80: Q1 50, Q3 70. sd 0: M 60, variance 20² = 400, 1.96·√(400/6) = 16.00; both are 20 away.
    assert colours([row("A", 40, 0, 3), row("B", 80, 0, 3)]) == ["red", "green"]
    # With sd 10 each row is ± 11.32, and M ± 1.96·√(500/6) = ± 17.89.
    assert colours([row("A", 40, 10, 3), row("B", 80, 10, 3)]) == ["pink", "light-green"]


def test_a_group_of_two_with_equal_means_is_white() -> None:
    assert colours([row("A", 40, 0, 3), row("B", 40, 9, 30)]) == ["white", "white"]


# N is 16 + 4·32 = 144 and M = 70 − 2.94·16/144 = 70 − 2.94/9. Variance: within (16·1.9² + 128·10.86²)/144 = 105.2363…,
# between 1/9·8/9·2.94² = 0.8536…, together 15276.96/144 = 106.09 = 10.3². The mean is 2.94·8/9 = 2.61333… below M, and
# 1.96·(1.9/4 + 10.3/12) = 1.96·(0.475 + 0.858333…) = 1.96·4/3 = 2.61333… too.
TOUCHING = row("TOUCHING", "67.06", "1.9", 16)
TOUCHED = others(70, "10.86", 32)


def test_intervals_that_only_touch_overlap() -> None:
    compared = benchmark([TOUCHING, *TOUCHED])
    assert compared is not None
    assert compared.variance == Fraction("10.3") ** 2
    assert compared.mean - Fraction("67.06") == Z * (Fraction("1.9") / 4 + Fraction("10.3") / 12)
    assert colours([TOUCHING, *TOUCHED])[0] == "pink"
    assert colours([replace(TOUCHING, mean=Decimal("67.060000000000000001")), *TOUCHED])[0] == "pink"
    assert colours([replace(TOUCHING, mean=Decimal("67.059999999999999999")), *TOUCHED])[0] == "red"


def test_intervals_that_only_touch_above_overlap_too() -> None:
    rows = [replace(one, mean=140 - (one.mean or 0)) for one in (TOUCHING, *TOUCHED)]
    assert colours(rows)[0] == "light-green"
    assert colours([replace(rows[0], mean=Decimal("72.940000000000000001")), *rows[1:]])[0] == "green"


def test_decimals_are_taken_as_they_are_written() -> None:
    # 0.1 and 0.3 are no binary fractions; Q1 of 0.1 0.3 is 0.15 and of 0.1 0.2 0.3 it is 0.15 as well.
    rows = [row("A", "0.15", 0, 5), row("B", "0.1", 0, 5), row("C", "0.3", 0, 5), row("D", "0.15", 0, 5)]
    # Sorted 0.1 0.15 0.15 0.3: Q1 0.1375, Q3 0.1875.
    assert colours(rows) == ["white", "red", "green", "white"]
    rows = [row(str(i), mean, 0, 5) for i, mean in enumerate(("0.1", "0.2", "0.2", "0.3", "0.1", "0.3", "0.2"))]
    # Sorted 0.1 0.1 0.2 0.2 0.2 0.3 0.3: Q1 is (0.1 + 0.2)/2, Q3 is (0.2 + 0.3)/2.
    assert [colour in ("red", "pink") for colour in colours(rows)] == [True, False, False, False, True, False, False]


@pytest.mark.parametrize(("n", "colour"), [(0, "yellow"), (1, "grey"), (2, "grey"), (3, "red")])
def test_three_respondents_are_the_fewest_that_are_flagged(n: int, colour: str) -> None:
    assert colours([row("A", 10, 1, n), *others()])[0] == colour


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_row_with_too_few_respondents_needs_no_numbers_and_counts_in_no_benchmark(n: int) -> None:
    alone = flags_of([row("A", 60, 1, 40), *others()], RULE)
    for mean, sd in ((None, None), (0, 50), (1000, None)):
        beside = flags_of([row("FEW", mean, sd, n), row("A", 60, 1, 40), *others()], RULE)
        assert beside[1:] == alone


def test_a_group_in_which_nobody_has_enough_respondents_has_no_benchmark() -> None:
    rows = [row("A", 10, 1, 2), row("B", None, None, 0)]
    assert colours(rows) == ["grey", "yellow"]
    assert benchmark(rows) is None


def test_without_spread_an_interval_is_a_point() -> None:
    # Five means, all sd 0, n 3: variance 1000/5 = 200, 1.96·√(200/15) = 7.16, both ends are 20 away.
    assert colours([row(str(mean), mean, 0, 3) for mean in (50, 60, 70, 80, 90)])[::4] == ["red", "green"]


def test_respondents_weigh_in_the_mean_and_not_in_the_quartiles() -> None:
    # M is 10.07: the row at 40 is in the bottom quartile of the means and far above what respondents say on average.
    # The rule asks for the quartile and for intervals apart, and both hold.
    rows = [row("BIG", 10, 5, 10_000), *(row(str(mean), mean, 0, 3) for mean in (40, 50, 60, 70, 80))]
    compared = benchmark(rows)
    assert compared is not None
    assert 10 < compared.mean < 11
    assert colours(rows)[:2] == ["pink", "red"]


def test_groups_are_of_one_specialty_indicator_and_year() -> None:
    low = row("A", 10, 1, 30)
    for changes in ({"specialty": "Medicine"}, {"indicator": "Feedback"}, {"year": 2023}):
        assert colours([replace(low, **changes), *others()]) == ["white"] * 5
    for changes in ({"provider": "B"}, {"site": "B1"}):
        assert colours([replace(low, **changes), *others()])[0] == "red"


def test_a_report_type_has_a_benchmark_group_of_its_own() -> None:
    rows = [row("A", 10, 1, 30, specialty="Medicine"), *others()]
    assert colours(rows, "nts")[0] == "white"
    assert colours(rows, "nts-provider")[0] == "red"
    with pytest.raises(UnknownReport, match="it knows nts, nts-provider"):
        flags_of(rows, RULE, "weather")


def test_rows_of_the_same_result_all_count_and_are_told() -> None:
    # Means 10 10 and seven of 70: with one 10 the only one below Q1 would be that one, with two of nine both are.
    twice = [row("A", 10, 1, 30), *others(count=7), row("A", 10, 1, 30), row("A", 10, 1, 30, site="A1")]
    assert [one.flag.value for one in flags_of(twice[:-1], RULE)] == ["red", *["white"] * 7, "red"]
    assert table_of(twice, RULE).flags().repeated == [(8, 0)]


def test_of_one_result_is_also_what_only_another_comparison_puts_beside_it() -> None:
    rows = [row("A", 10, 1, 30), row("A", 10, 1, 30, specialty="Medicine"), row("A", 10, 1, 30)]
    for report in ("nts", "nts-provider"):
        assert table_of(rows, RULE, report).flags().repeated == [(2, 0)]


# Three red years ---------------------------------------------------------------------------------------------------

RED, LOW = 10, 70


def years(levels: dict[int, int], **changes: Any) -> list[Result]:
    """A place that is red in the years of RED, beside the same others in each year."""
    return [
        one
        for year, mean in levels.items()
        for one in (row("A", mean, 1, 30, year=year, **changes), *others(year=year))
    ]


def triples(rows: Sequence[Result]) -> list[int]:
    return sorted(one.result.year for one in flags_of(rows, RULE) if one.triple_red)


def test_three_red_years_in_a_row_are_a_triple_red() -> None:
    assert triples(years({2022: RED, 2023: RED, 2024: RED})) == [2024]
    assert triples(years({2024: RED, 2022: RED, 2023: RED})) == [2024], "in whatever order they stand"
    assert triples(years({2021: RED, 2022: RED, 2023: RED, 2024: RED})) == [2023, 2024]


@pytest.mark.parametrize(
    "levels",
    [
        {2023: RED, 2024: RED},
        {2021: RED, 2023: RED, 2024: RED},
        {2022: RED, 2023: LOW, 2024: RED},
        {2022: RED, 2023: RED, 2024: LOW},
        {2022: LOW, 2023: RED, 2024: RED},
        {2022: RED, 2024: RED, 2026: RED},
    ],
)
def test_two_red_years_or_a_gap_are_none(levels: dict[int, int]) -> None:
    assert triples(years(levels)) == []


@pytest.mark.parametrize("n", [0, 2])
def test_a_year_with_too_few_respondents_interrupts(n: int) -> None:
    rows = years({2022: RED, 2023: RED, 2024: RED})
    assert triples([replace(one, n=n) if (one.provider, one.year) == ("A", 2023) else one for one in rows]) == []


@pytest.mark.parametrize("changes", [{"provider": "B"}, {"site": "A1"}])
def test_another_place_is_another_series(changes: dict[str, Any]) -> None:
    rows = years({2022: RED, 2023: RED, 2024: RED})
    moved = [replace(one, **changes) if (one.provider, one.year) == ("A", 2023) else one for one in rows]
    assert triples(moved) == []
    assert sum(one.flag is SurveyFlag.RED for one in flags_of(moved, RULE)) == 3


@pytest.mark.parametrize("changes", [{"specialty": "Medicine"}, {"indicator": "Feedback"}])
def test_another_specialty_or_indicator_is_another_series(changes: dict[str, Any]) -> None:
    rows = years({2022: RED, 2024: RED}) + [replace(one, **changes) for one in years({2023: RED})]
    assert triples(rows) == []
    assert sum(one.flag is SurveyFlag.RED for one in flags_of(rows, RULE)) == 3


def test_pink_is_not_red() -> None:
    rows = years({2022: RED, 2023: RED, 2024: RED})
    wide = [replace(one, sd=Decimal(900)) if (one.provider, one.year) == ("A", 2022) else one for one in rows]
    assert [one.flag.value for one in flags_of(wide, RULE) if one.result.provider == "A"] == ["pink", "red", "red"]
    assert triples(wide) == []


# For all results ---------------------------------------------------------------------------------------------------

#: Few digits, so that ties and means on a quartile are common.
MEANS = st.integers(0, 40).map(lambda tenths: Decimal(tenths) / 4)
SDS = st.integers(0, 12).map(lambda quarters: Decimal(quarters) / 4)


@st.composite
def groups(draw: st.DrawFn) -> list[Result]:
    size = draw(st.integers(1, 14))
    return [row(f"P{number}", draw(MEANS), draw(SDS), draw(st.integers(0, 40))) for number in range(size)]


def by_the_book(rows: Sequence[Result]) -> list[str]:
    """The rule once more, word by word, with intervals to sixty digits."""
    with localcontext() as context:
        context.prec = 60
        counted = [one for one in rows if one.n >= 3]
        ordered = sorted(one.mean for one in counted if one.mean is not None)
        total = sum(one.n for one in counted)

        def quartile(share: Decimal) -> Decimal:
            place = share * (len(ordered) - 1)
            below = int(place)
            above = min(below + 1, len(ordered) - 1)
            return ordered[below] + (place - below) * (ordered[above] - ordered[below])

        def interval(mean: Decimal, variance: Decimal, n: int) -> tuple[Decimal, Decimal]:
            half = Decimal("1.96") * (variance / n).sqrt()
            return mean - half, mean + half

        found: list[str] = []
        for one in rows:
            if one.n < 3:
                found.append("grey" if one.n else "yellow")
                continue
            assert one.mean is not None
            assert one.sd is not None
            mean = sum((Decimal(o.n) * (o.mean or 0) for o in counted), Decimal(0)) / total
            within = sum((o.n * (o.sd or Decimal(0)) ** 2 for o in counted), Decimal(0)) / total
            between = sum((o.n * ((o.mean or Decimal(0)) - mean) ** 2 for o in counted), Decimal(0)) / total
            low, high = interval(one.mean, one.sd**2, one.n)
            bench_low, bench_high = interval(mean, within + between, total)
            separate = high < bench_low - Decimal("1e-40") or low > bench_high + Decimal("1e-40")
            if one.mean < quartile(Decimal("0.25")):
                found.append("red" if separate else "pink")
            elif one.mean > quartile(Decimal("0.75")):
                found.append("green" if separate else "light-green")
            else:
                found.append("white")
        return found


@given(groups())
def test_the_flags_are_those_of_the_rule_word_by_word(rows: list[Result]) -> None:
    assert colours(rows) == by_the_book(rows)


#: So wide that they fit into no eight bytes, among others that do.
WIDE = st.decimals(-(10**12), 10**12, places=20) | MEANS


@given(st.lists(st.tuples(WIDE, SDS, st.integers(0, 9)), min_size=1, max_size=9))
def test_numbers_may_have_as_many_digits_as_they_like(numbers: list[tuple[Decimal, Decimal, int]]) -> None:
    rows = [row(f"P{place}", mean, sd, n) for place, (mean, sd, n) in enumerate(numbers)]
    assert colours(rows) == by_the_book(rows)


@given(groups(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_decides_nothing(rows: list[Result], chance: random.Random) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)
    before = {one.result.provider: one for one in flags_of(rows, RULE)}
    assert {one.result.provider: one for one in flags_of(shuffled, RULE)} == before


@given(groups(), st.decimals(-500, 500, places=3), st.decimals("0.01", 90, places=2))
def test_the_scale_of_the_scores_decides_nothing(rows: list[Result], shift: Decimal, factor: Decimal) -> None:
    moved = [replace(one, mean=(one.mean or 0) * factor + shift, sd=(one.sd or 0) * factor) for one in rows]
    assert colours(moved) == colours(rows)


MIRROR = {"red": "green", "green": "red", "pink": "light-green", "light-green": "pink"}


@given(groups())
def test_what_is_low_on_a_scale_is_high_on_the_scale_turned_round(rows: list[Result]) -> None:
    turned = [replace(one, mean=-(one.mean or 0)) for one in rows]
    assert colours(turned) == [MIRROR.get(colour, colour) for colour in colours(rows)]


@given(st.lists(groups(), min_size=1, max_size=3))
def test_groups_do_not_touch_each_other(many: list[list[Result]]) -> None:
    apart_groups = [[replace(one, specialty=str(n)) for one in rows] for n, rows in enumerate(many)]
    together = flags_of([one for rows in apart_groups for one in rows], RULE)
    assert together == [one for rows in apart_groups for one in flags_of(rows, RULE)]


@given(st.lists(st.lists(st.integers(0, 100), min_size=3, max_size=9), min_size=1, max_size=8))
def test_the_benchmark_is_that_of_all_respondents_taken_together(answers: list[list[int]]) -> None:
    # Everything in multiples of one fraction, for means and roots of variances are no decimals.
    ninths = math.lcm(*range(3, 10))
    means = [statistics.mean(map(Fraction, row)) for row in answers]
    compared = benchmark_of(
        Scores([int(mean * ninths) for mean in means], [0] * len(means), [len(row) for row in answers], unit=ninths)
    )
    assert compared is not None
    everybody = [Fraction(answer) for row in answers for answer in row]
    assert compared.mean == statistics.mean(everybody)
    # Without what lies within the rows: that is added, weighted by respondents.
    within = sum(len(row) * statistics.pvariance(map(Fraction, row)) for row in answers) / len(everybody)
    assert compared.variance + within == statistics.pvariance(everybody)
    if len(means) > 1:
        low, _, high = statistics.quantiles(means, n=4, method="inclusive")
        assert (compared.lower_quartile, compared.upper_quartile) == (low, high)


@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(0, 99), st.integers(3, 50)), min_size=1, max_size=8))
def test_deviations_add_what_lies_within_the_rows(rows: list[tuple[int, int, int]]) -> None:
    means, deviations, respondents = zip(*rows, strict=True)
    spread = benchmark_of(Scores(means, deviations, respondents, unit=1))
    points = benchmark_of(Scores(means, [0] * len(rows), respondents, unit=1))
    assert spread is not None
    assert points is not None
    within = Fraction(sum(n * sd * sd for _, sd, n in rows), sum(respondents))
    assert spread.variance == points.variance + within


POSITIVE = st.fractions(0, 1000, max_denominator=1000)


@given(POSITIVE, POSITIVE, st.fractions(Fraction(1, 10**30), 1))
def test_intervals_are_apart_beyond_the_point_where_they_touch_and_not_on_it(
    first: Fraction, second: Fraction, step: Fraction
) -> None:
    touch = first + second
    assert not apart(touch**2, first**2, second**2)
    assert apart((touch + step) ** 2, first**2, second**2)
    assert not apart(max(touch - step, Fraction(0)) ** 2, first**2, second**2)


# The rule itself ---------------------------------------------------------------------------------------------------


def test_the_edition_in_force() -> None:
    assert RULE.version == "nts-2026-1"
    assert (RULE.least_respondents, RULE.years_of_a_triple_red) == (3, 3)
    assert Fraction(RULE.interval_multiplier) == Z
    assert RULE.group(RULE.default_report) == ("specialty", "indicator", "year")


@pytest.mark.parametrize(
    "changes",
    [
        {"benchmark_groups": {"nts": ["specialty", "year"]}},
        {"benchmark_groups": {"nts": ["indicator", "year", "year"]}},
        {"default_report": "weather"},
        {"least_respondents": 1},
        {"interval_multiplier": "0"},
        {"colours": 7},
    ],
)
def test_an_edition_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FlagRule.model_validate({**RULE.model_dump(mode="json"), **changes})
