"""No row of a survey about one or two people keeps its numbers, nor any from which they would follow."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intelligence.domain.small_numbers import LEAST, Edition, SurveyCount, SurveyRow, is_small, withheld
from tests.fixtures.attacks import factors_of

SITES = ("A", "B", "C")
SPECIALTIES = ("Surgery", "Medicine")


def row(site: str = "", specialty: str = "Surgery", *, indicator: str = "Handover", year: int = 2024) -> SurveyRow:
    return SurveyRow("FICTHT001", site, specialty, indicator, year)


def sites_of(rows: frozenset[SurveyRow]) -> set[str]:
    return {one.site for one in rows}


@pytest.mark.parametrize(("respondents", "expected"), [(0, False), (1, True), (2, True), (3, False)])
def test_one_and_two_are_withheld_nought_and_three_are_not(respondents: int, expected: bool) -> None:
    assert (row() in withheld([SurveyCount(row(), respondents)])) is expected


def test_the_total_over_a_withheld_site_is_withheld_and_its_other_sites_are_not() -> None:
    found = withheld([SurveyCount(row(), 10), SurveyCount(row("A"), 8), SurveyCount(row("B"), 2)])
    assert sites_of(found) == {"", "B"}


def test_a_total_whose_rows_leave_two_over_is_withheld_because_a_publisher_left_them_out() -> None:
    assert sites_of(withheld([SurveyCount(row(), 10), SurveyCount(row("A"), 8)])) == {""}
    assert withheld([SurveyCount(row(), 10), SurveyCount(row("A"), 7)]) == frozenset()
    assert withheld([SurveyCount(row(), 10), SurveyCount(row("A"), 10)]) == frozenset()


@pytest.mark.parametrize("name", ["All", "all specialties", " TOTAL "])
def test_a_row_of_all_specialties_is_a_total_too_at_its_site_and_at_the_provider(name: str) -> None:
    counts = [
        SurveyCount(row("", name), 30),
        SurveyCount(row("A", name), 15),
        SurveyCount(row("A", "Surgery"), 13),
        SurveyCount(row("A", "Medicine"), 2),
        SurveyCount(row("B", name), 15),
        SurveyCount(row("B", "Surgery"), 15),
    ]
    assert withheld(counts) == {row("", name), row("A", name), row("A", "Medicine")}


def test_totals_of_all_specialties_that_leave_something_over_could_be_subtracted_crosswise() -> None:
    counts = [
        SurveyCount(row("", "All"), 30),
        SurveyCount(row("A", "All"), 15),
        SurveyCount(row("A", "Surgery"), 10),
        SurveyCount(row("B", "Surgery"), 8),
    ]
    assert withheld(counts) == {row("", "All"), row("A", "All")}
    alone = [SurveyCount(row("", "All"), 30), SurveyCount(row("A", "Surgery"), 10), SurveyCount(row("B", "Surgery"), 8)]
    assert withheld(alone) == frozenset()


def test_parts_that_come_after_their_total_was_read_are_withheld_beside_a_small_one() -> None:
    total = SurveyCount(row(), 10, since=1)
    later = [SurveyCount(row("A"), 8, since=2), SurveyCount(row("B"), 2, since=2)]
    assert sites_of(withheld([total, *later])) == {"", "A", "B"}
    assert sites_of(withheld([total, later[0]])) == {"", "A"}
    large = [SurveyCount(row("A"), 6, since=2), SurveyCount(row("B"), 4, since=2)]
    assert withheld([total, *large]) == frozenset()


def test_a_total_in_another_report_is_a_total_too() -> None:
    whole = SurveyRow("FICTHT001", "", "All", "Handover", 2024, "nts-provider")
    counts = [SurveyCount(whole, 12), SurveyCount(row("A"), 10), SurveyCount(row("B"), 2)]
    assert withheld(counts) == {whole, row("B")}


@pytest.mark.parametrize(("other", "expected"), [(10, set()), (12, {"nts", "other"}), (14, set())])
def test_two_reports_that_differ_by_two_about_the_same_are_withheld(other: int, expected: set[str]) -> None:
    same = SurveyRow("FICTHT001", "A", "Surgery", "Handover", 2024, "other")
    found = withheld([SurveyCount(row("A"), 10), SurveyCount(same, other)])
    assert {one.report for one in found} == expected


@pytest.mark.parametrize(
    ("now", "before", "expected"), [(12, 11, True), (12, 10, True), (12, 9, False), (12, 12, False)]
)
def test_a_correction_by_one_or_two_withholds_the_row_and_its_total(now: int, before: int, expected: bool) -> None:
    counts = [SurveyCount(row(), 30), SurveyCount(row("A"), now, 1, (Edition(0, before),)), SurveyCount(row("B"), 18)]
    assert sites_of(withheld(counts)) == ({"", "A"} if expected else set())


def corrected(one: SurveyRow, before: int, now: int) -> SurveyCount:
    return SurveyCount(one, now, 2, (Edition(1, before),))


def test_a_total_is_withheld_if_what_it_leaves_over_changes_by_one_or_two() -> None:
    kept = SurveyCount(row("A"), 20, 1)
    assert sites_of(withheld([corrected(row(), 40, 44), kept, corrected(row("B"), 17, 20)])) >= {""}
    assert withheld([corrected(row(), 40, 46), kept, corrected(row("B"), 17, 20)]) == frozenset()


def test_a_total_that_left_two_over_stays_withheld_when_a_part_of_it_is_corrected() -> None:
    kept = [SurveyCount(row(), 40, 1), SurveyCount(row("A"), 20, 1)]
    assert "" in sites_of(withheld([*kept, corrected(row("B"), 18, 10)]))
    assert withheld([*kept, corrected(row("B"), 17, 10)]) == frozenset()


def test_a_part_that_is_corrected_after_its_total_was_read_is_withheld_beside_a_small_one() -> None:
    total, other, small = SurveyCount(row(), 40, 1), SurveyCount(row("A"), 20, 1), SurveyCount(row("C"), 2, 2)
    assert sites_of(withheld([total, other, corrected(row("B"), 10, 18), small])) == {"", "B", "C"}


def test_what_is_left_over_is_that_beyond_the_rows_of_any_report() -> None:
    other = SurveyRow("FICTHT001", "A", "Surgery", "Handover", 2024, "other")
    counts = [SurveyCount(row(), 40), SurveyCount(row("A"), 20), SurveyCount(row("B"), 13)]
    assert withheld(counts) == frozenset()
    assert row() in withheld([*counts, SurveyCount(other, 25)])


def test_rows_of_another_provider_indicator_or_year_have_nothing_to_do_with_each_other() -> None:
    small = SurveyCount(row("B"), 2)
    others = [
        SurveyCount(row(indicator="Teamwork"), 10),
        SurveyCount(row(year=2023), 10),
        SurveyCount(SurveyRow("FICTHT002", "", "Surgery", "Handover", 2024), 10),
    ]
    assert withheld([small, *others]) == {small.row}


@st.composite
def surveys(draw: st.DrawFn) -> list[SurveyCount]:
    """Rows by site and specialty with all their totals; a publisher may have left out some."""
    parts = {(site, specialty): draw(st.integers(0, 6)) for site in SITES for specialty in SPECIALTIES}
    rows = {row(site, specialty): n for (site, specialty), n in parts.items()}
    for site in SITES:
        rows[row(site, "All")] = sum(n for (at, _), n in parts.items() if at == site)
    for specialty in SPECIALTIES:
        rows[row("", specialty)] = sum(n for (_, of), n in parts.items() if of == specialty)
    rows[row("", "All")] = sum(parts.values())
    left_out = draw(st.sets(st.sampled_from(sorted(rows)), max_size=4))
    return [SurveyCount(one, n) for one, n in rows.items() if one not in left_out]


def leaves(one: SurveyRow) -> frozenset[tuple[str, str]]:
    """The smallest parts that a row sums up."""
    return frozenset(
        (site, specialty)
        for site in SITES
        for specialty in SPECIALTIES
        if one.site in ("", site) and one.specialty in ("All", specialty)
    )


@given(surveys())
def test_no_part_and_no_sum_of_parts_of_one_or_two_follows_by_linear_algebra(counts: list[SurveyCount]) -> None:
    """The attacker knows how rows add up and solves for every sum of parts: none of them may be one or two."""
    hidden = withheld(counts)
    shown = [count for count in counts if count.row not in hidden]
    parts = [(site, specialty) for site in SITES for specialty in SPECIALTIES]
    vectors = [[int(part in leaves(count.row)) for part in parts] for count in shown]
    for size in range(1, len(parts) + 1):
        for chosen in combinations(parts, size):
            factors = factors_of([int(part in chosen) for part in parts], vectors)
            if factors is not None:
                number = sum(f * count.respondents for f, count in zip(factors, shown, strict=True))
                assert not is_small(int(number)), (chosen, number)


@given(surveys())
def test_a_shown_row_has_three_respondents_at_least_or_none(counts: list[SurveyCount]) -> None:
    hidden = withheld(counts)
    assert all(count.respondents >= LEAST or not count.respondents for count in counts if count.row not in hidden)


@given(surveys())
def test_without_small_numbers_only_totals_that_are_no_sums_are_withheld(counts: list[SurveyCount]) -> None:
    tripled = [SurveyCount(count.row, count.respondents * 3) for count in counts]
    assert all(one.specialty == "All" for one in withheld(tripled))
