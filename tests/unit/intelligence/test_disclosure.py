"""What is published of counts that hang together lets no count of one or two be worked out."""

import random
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import combinations_with_replacement, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intelligence.domain import volumes
from services.intelligence.domain.disclosure import Count, publishable
from services.intelligence.domain.small_numbers import LEAST, is_small
from services.intelligence.domain.volumes import Life, Measure, Release, Set, YearKind, name, release, years
from shared.contracts.fields import Category
from shared.reference.financial_year import FinancialYear

FIRST = date(2023, 4, 5)
TODAY = date(2025, 8, 2)
LISTED = volumes.counts(FIRST, TODAY)
KNOWN = volumes.nothing_before(FIRST, LISTED)


def in_order(inner: int, outer: int) -> bool:
    return inner < outer


def published(sizes: dict[int, int], *counts: Count[int]) -> dict[str, int]:
    return publishable(counts, sizes, in_order)[0]


def test_a_count_under_three_is_not_published() -> None:
    assert published({0: 0, 1: 2, 2: 2, 3: 5}, Count("a", 0, 1), Count("b", 1, 2), Count("c", 2, 3)) == {"c": 3}


def test_a_count_from_which_a_small_one_follows_by_subtraction_is_withheld() -> None:
    sizes = {0: 0, 1: 8, 2: 10}
    assert published(sizes, Count("total", 0, 2), Count("part", 0, 1)) == {"total": 10}
    assert published(sizes, Count("part", 0, 1), Count("total", 0, 2)) == {"part": 8}


def test_a_count_from_which_a_small_one_follows_by_bounds_is_withheld() -> None:
    """A part of five of a whole that is three and a hidden number: the hidden number, under three, must be two."""
    sizes = {0: 0, 1: 3, 2: 5, 3: 5}
    shown = published(sizes, Count("first", 0, 1), Count("second", 1, 2), Count("part", 0, 3))
    assert shown == {"first": 3}


def lives_of(rows: list[tuple[int, int | None, int]]) -> list[Life]:
    return [
        Life(
            raised := FIRST + timedelta(days=day),
            None if open_days is None else raised + timedelta(days=open_days),
            ((raised, Category(category)),),
        )
        for day, open_days, category in rows
    ]


LIVES = st.lists(
    st.tuples(st.integers(0, 800), st.none() | st.integers(0, 500), st.integers(0, 4)), min_size=1, max_size=40
).map(lives_of)


def differences(sets: list[Set]) -> Iterator[tuple[Set, Set]]:
    for inner in sets:
        for outer in sets:
            if inner != outer and volumes.within(inner, outer):
                yield inner, outer


def reachable(listed: list[Count[Set]], shown: Mapping[str, int]) -> dict[Set, dict[Set, int]]:
    """What an attacker gets who walks along published counts, adding and subtracting."""
    steps: dict[Set, list[tuple[Set, int]]] = {}
    for count in [*listed, *KNOWN]:
        number = 0 if count.name == "nothing" else shown.get(count.name)
        if number is not None:
            steps.setdefault(count.inner, []).append((count.outer, number))
            steps.setdefault(count.outer, []).append((count.inner, -number))
    found: dict[Set, dict[Set, int]] = {}
    for start in steps:
        at, waiting = {start: 0}, [start]
        while waiting:
            here = waiting.pop()
            for there, number in steps[here]:
                if there not in at:
                    at[there] = at[here] + number
                    waiting.append(there)
        found[start] = at
    return found


@settings(max_examples=200, deadline=None)
@given(LIVES)
def test_no_count_of_one_or_two_follows_from_the_volumes_by_subtraction(lives: list[Life]) -> None:
    sizes = volumes.sizes(lives, LISTED)
    shown = release(sizes, LISTED, KNOWN, None, {}).shown
    assert all(number >= LEAST for number in shown.values())
    known = reachable(LISTED, shown)
    for inner, outer in differences(list(sizes)):
        number = known.get(inner, {}).get(outer)
        assert number is None or (number == sizes[outer] - sizes[inner] and not is_small(number)), (inner, outer)


def tables(top: int) -> Iterator[dict[Set, int]]:
    """Every table of two financial years with up to so many concerns, without categories."""
    raised = [Set("raised", date(year, 3, 31)) for year in (2023, 2024, 2025)]
    closed = [Set("closed", date(year, 3, 31)) for year in (2023, 2024, 2025)]
    for r in combinations_with_replacement(range(top + 1), 2):
        for c in combinations_with_replacement(range(top + 1), 2):
            if c[0] <= r[0] and c[1] <= r[1]:
                yield dict(zip([*raised, *closed], [0, *r, 0, *c], strict=True))


def test_whoever_tries_every_table_that_fits_cannot_tell_any_count_of_one_or_two() -> None:
    """The attacker of all small tables: keeps those with the same published counts in which the gaps are under three.

    Where a gap is one for the sake of another count, the attacker is told so: that is more than anybody knows.
    """
    top = 9
    listed = [
        count
        for count in volumes.counts(FIRST, date(2025, 4, 2))
        if count.name.startswith("financial") and count.outer.first is None
    ]
    known = [Count("nothing", Set("closed", date(2023, 3, 31)), Set("raised", date(2023, 3, 31)))]
    every = list(tables(top))
    differing = list(differences(list(every[0])))
    tried = 0
    for sizes in every:
        if max(sizes.values()) > top - LEAST:
            continue  # tables that would fit may lie beyond those listed
        shown = publishable(listed, sizes, volumes.within, known)[0]
        told = {count.name: sizes[count.outer] - sizes[count.inner] for count in listed}
        fitting = [
            other
            for other in every
            if all(
                other[count.outer] - other[count.inner] == told[count.name]
                if count.name in shown
                else told[count.name] >= LEAST or other[count.outer] - other[count.inner] < LEAST
                for count in listed
            )
        ]
        for inner, outer in differing:
            if is_small(sizes[outer] - sizes[inner]):
                assert len({other[outer] - other[inner] for other in fitting}) > 1, (shown, inner, outer)
                tried += 1
    assert tried > 500


def test_a_year_is_counted_once_it_is_over() -> None:
    assert years(YearKind.FINANCIAL, date(2023, 4, 1), date(2024, 3, 31)) == []
    assert years(YearKind.FINANCIAL, date(2023, 4, 1), date(2024, 4, 1)) == [FinancialYear(2023)]
    assert [str(year) for year in years(YearKind.TRAINING, date(2023, 4, 1), date(2024, 8, 1))] == [
        "2022-23",
        "2023-24",
    ]


def financial(shown: Mapping[str, int], measure: Measure, first_year: int = 2023) -> int | None:
    return shown.get(name(YearKind.FINANCIAL, FinancialYear(first_year), measure))


def test_significant_is_who_had_such_a_category_at_some_time_in_the_year() -> None:
    before, within, after = date(2023, 5, 1), date(2024, 5, 1), date(2025, 5, 1)
    minor, major = Category.MINOR, Category.MAJOR
    lives = [
        *[Life(FIRST, None, ((before, major),))] * 3,  # significant in both years
        *[Life(FIRST, None, ((before, major), (date(2024, 3, 1), minor)))] * 4,  # only in the first
        *[Life(FIRST, None, ((before, minor), (within, major)))] * 5,  # only in the second
        *[Life(FIRST, None, ((before, minor), (after, major)))] * 6,  # later
        *[Life(FIRST, date(2024, 3, 1), ((before, major),))] * 7,  # closed in the first
    ]
    shown = release(volumes.sizes(lives, LISTED), LISTED, KNOWN, None, {}).shown
    assert financial(shown, Measure.SIGNIFICANT, 2023) == 14
    assert financial(shown, Measure.SIGNIFICANT, 2024) == 8
    assert (financial(shown, Measure.MANAGED, 2023), financial(shown, Measure.MANAGED, 2024)) == (25, 18)


def thirty() -> list[Life]:
    return lives_of([(10 * n, 60 if n % 2 else None, 3 if n < 6 else 1) for n in range(30)])


def next_release(before: Release, lives: list[Life], ever: Mapping[str, set[int]]) -> Release:
    return release(volumes.sizes(lives, LISTED), LISTED, KNOWN, before, ever)


@pytest.mark.parametrize(("more", "expected"), [(1, 30), (2, 30), (3, 33), (4, 34)])
def test_what_was_published_of_a_year_stands_until_it_changes_by_three(more: int, expected: int) -> None:
    first = release(volumes.sizes(thirty(), LISTED), LISTED, KNOWN, None, {})
    assert financial(first.shown, Measure.RAISED) == 30
    ever = {name: {number} for name, number in first.shown.items()}
    late = [Life(date(2023, 9, 1), None)] * more
    assert financial(next_release(first, [*thirty(), *late], ever).shown, Measure.RAISED) == expected


def test_a_year_that_showed_nothing_may_show_any_number_later() -> None:
    first = release(volumes.sizes(thirty()[:1], LISTED), LISTED, KNOWN, None, {})
    assert first.shown == {}
    assert financial(next_release(first, thirty(), {}).shown, Measure.RAISED) == 30


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_no_two_releases_differ_by_one_or_two_anywhere(seed: int) -> None:
    """The attacker asks after every change and compares all answers ever given."""
    dice = random.Random(seed)
    lives = thirty()
    last = release(volumes.sizes(lives, LISTED), LISTED, KNOWN, None, {})
    ever: dict[str, set[int]] = {name: {number} for name, number in last.shown.items()}
    for _ in range(12):
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            place = dice.randrange(len(lives))
            life = lives[place]
            if dice.random() < 0.5:
                lives.append(
                    Life(raised := FIRST + timedelta(days=dice.randrange(700)), None, ((raised, Category(3)),))
                )
            elif life.closed_on is None:
                lives[place] = Life(life.raised_on, life.raised_on + timedelta(days=dice.randrange(300)), life.ratings)
            else:
                lives[place] = Life(life.raised_on, None, life.ratings)
        before, last = last, next_release(last, lives, ever)
        for one, number in last.shown.items():
            assert not any(is_small(number - was) for was in ever.get(one, ())), one
            ever.setdefault(one, set()).add(number)
        old, new = reachable(LISTED, before.shown), reachable(LISTED, last.shown)
        for what in ("raised", "closed"):
            chain = sorted((one for one in last.sizes if one.what == what), key=lambda one: one.day)
            for start in range(len(chain)):
                both = [
                    one
                    for one in chain[start:]
                    if one in old.get(chain[start], {}) and one in new.get(chain[start], {})
                ]
                for one, other in pairwise(both):
                    a = old[chain[start]][other] - old[chain[start]][one]
                    b = new[chain[start]][other] - new[chain[start]][one]
                    assert not is_small(a - b), (one, other)
