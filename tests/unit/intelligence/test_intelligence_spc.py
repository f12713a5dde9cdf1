"""Statistical process control: limits and the four special causes, at their edges."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.intelligence.domain.spc import Chart, chart_of


def chart(*values: float) -> Chart:
    found = chart_of([Fraction(value) for value in values])
    assert found is not None
    return found


def causes(found: Chart, kind: str) -> dict[int, str]:
    """Places of the points of one special cause, with the direction."""
    return {
        place: cause.direction.value
        for place, point in enumerate(found.points)
        for cause in point.causes
        if cause.kind == kind
    }


def test_limits_are_the_mean_and_2_66_average_moving_ranges() -> None:
    found = chart(10, 12, 11, 13, 14)
    assert found.mean == 12
    assert found.average_moving_range == Fraction(2 + 1 + 2 + 1, 4)
    assert found.limits == (Fraction("8.01"), Fraction("15.99"))
    assert all(point.causes == () for point in found.points)


def test_a_single_point_has_no_limits_and_no_point_no_chart() -> None:
    assert (chart(5).mean, chart(5).limits) == (5, None)
    assert chart_of([]) is None


def test_a_series_that_never_changes_has_nothing_special() -> None:
    found = chart(*[7.5] * 12)
    assert found.limits == (7.5, 7.5)
    assert all(point.causes == () for point in found.points)


def test_a_point_outside_the_limits() -> None:
    # Eleven zeros and ±14: mean ±14/12, ranges 28/11 on average, limit 6.77 from the mean.
    zeros = [0] * 6
    assert causes(chart(*zeros, 14, *zeros[1:]), "outside_limits") == {6: "up"}
    assert causes(chart(*zeros, -14, *zeros[1:]), "outside_limits") == {6: "down"}


#: Mean 0 and an average moving range of 100 (1,400 in 14 steps), so that the limits are ±266.
ON_THE_LIMIT = [*[0] * 9, 266, 0, -266, 0, 112, -112]


def test_a_point_on_a_limit_is_inside() -> None:
    found = chart(*ON_THE_LIMIT)
    assert found.limits == (-266, 266)
    assert causes(found, "outside_limits") == {}
    # A little further out, and the limits follow by less.
    assert causes(chart(*[value + (value > 200) for value in ON_THE_LIMIT]), "outside_limits") == {9: "up"}


def test_two_of_three_in_the_outer_third_of_one_side() -> None:
    assert causes(chart(*ON_THE_LIMIT), "two_of_three") == {}, "one is above and one below"
    # The mean is about 6 and the limits about 27 away: the outer third above begins at about 24.
    noise = [0, 10] * 20
    assert causes(chart(*noise, 27, 27, 10), "two_of_three") == {40: "up", 41: "up"}
    assert causes(chart(*noise, 27, 20, 27), "two_of_three") == {40: "up", 42: "up"}
    assert causes(chart(*noise, 27, 10, 10, 27), "two_of_three") == {}, "four in a row are not three"
    assert causes(chart(*noise, 27, 20, 20), "two_of_three") == {}
    assert causes(chart(*noise, -16, -10, -16), "two_of_three") == {40: "down", 42: "down"}


def test_a_point_where_the_outer_third_begins_is_not_in_it() -> None:
    # Mean 0, an average range of 300 (2,400 in 8 steps), limits ±798, two thirds of which are 532.
    edge = [0, 532, 532, -532, -532, 0, 68, -68, 0]
    assert chart(*edge).limits == (-798, 798)
    assert causes(chart(*edge), "two_of_three") == {}
    beyond = [value + (value > 500) - (value < -500) for value in edge]
    assert causes(chart(*beyond), "two_of_three") == {1: "up", 2: "up", 3: "down", 4: "down"}


def test_a_trend_has_six_points_each_beyond_the_last() -> None:
    assert causes(chart(1, 2, 3, 4, 5, 6), "trend") == dict.fromkeys(range(6), "up")
    assert causes(chart(9, 6, 5, 4, 3, 2, 1, 5), "trend") == dict.fromkeys(range(7), "down")
    assert causes(chart(1, 2, 3, 4, 5), "trend") == {}
    assert causes(chart(1, 2, 3, 3, 4, 5, 6), "trend") == {}, "a step that is level ends it"
    turning = causes(chart(1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1), "trend")
    assert turning == {**dict.fromkeys(range(5), "up"), **dict.fromkeys(range(5, 11), "down")}


def test_a_shift_has_seven_points_on_one_side_of_the_mean() -> None:
    assert causes(chart(*[4, 6] * 4, *[-5] * 8), "shift") == {
        **dict.fromkeys(range(8), "up"),
        **dict.fromkeys(range(8, 16), "down"),
    }
    assert causes(chart(*[1] * 6, -3, -3), "shift") == {}
    assert causes(chart(*[1] * 7, -7), "shift") == dict.fromkeys(range(7), "up")
    assert causes(chart(*[1] * 4, 0, *[1] * 3, -7), "shift") == {}, "a point on the mean ends the row"


def by_the_book(values: list[Fraction]) -> list[set[tuple[str, str]]]:
    """The four special causes once more, window by window."""
    found: list[set[tuple[str, str]]] = [set() for _ in values]
    if len(values) < 2:
        return found
    mean = sum(values, Fraction(0)) / len(values)
    limit = Fraction(266, 100) * sum(abs(b - a) for a, b in pairwise(values)) / (len(values) - 1)

    def window(size: int, kind: str, holds: Callable[[Fraction], bool], least: int) -> None:
        for first in range(len(values) - size + 1):
            hits = [place for place in range(first, first + size) if holds(values[place])]
            if len(hits) >= least:
                for place in hits:
                    found[place].add((kind, direction))

    for direction, sign in (("up", 1), ("down", -1)):

        def off(value: Fraction, sign: int = sign) -> Fraction:
            return (value - mean) * sign

        window(1, "outside_limits", lambda value: off(value) > limit, 1)
        window(7, "shift", lambda value: off(value) > 0, 7)
        window(3, "two_of_three", lambda value: limit * Fraction(2, 3) < off(value) <= limit, 2)
        for first in range(len(values) - 5):
            if all((b - a) * sign > 0 for a, b in pairwise(values[first : first + 6])):
                for place in range(first, first + 6):
                    found[place].add(("trend", direction))
    return found


@given(st.lists(st.integers(-12, 12).map(lambda tenth: Fraction(tenth, 4)), max_size=30))
def test_the_causes_are_those_of_the_rules_word_by_word(values: list[Fraction]) -> None:
    found = chart_of(values)
    marked = [{(c.kind.value, c.direction.value) for c in point.causes} for point in found.points] if found else []
    expected = by_the_book(values)
    for ours, rules in zip(marked, expected, strict=True):
        # A point at which the series turns ends one trend and begins the next: it is marked with the later one.
        turns = {("trend", "up"), ("trend", "down")}
        assert ours == (rules - (turns - ours) if turns <= rules else rules)


@given(st.lists(st.integers(0, 100).map(Fraction), min_size=2, max_size=20))
def test_a_series_turned_round_has_the_same_causes_the_other_way(values: list[Fraction]) -> None:
    there, back = chart_of(values), chart_of([-value for value in values])
    assert there is not None
    assert back is not None
    turn = {"up": "down", "down": "up"}
    for one, other in zip(there.points, back.points, strict=True):
        assert {(c.kind, c.direction.value) for c in one.causes} == {
            (c.kind, turn[c.direction.value]) for c in other.causes
        }
