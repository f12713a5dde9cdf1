"""Small numbers of a survey: whose numbers are withheld, so that nothing under three respondents can be worked out.

Source: nothing is published for fewer than three respondents (the GMC's reporting tool shows such results in grey), nor
anything that lets one be worked out by subtraction. What is withheld is a row's *numbers*: respondents, mean, spread
and all that is computed from them. Its flag stays: the rule that gives it is public.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: Fewest people that a published number may be about.
LEAST = 3

#: How survey files name a row over all specialties of a provider or site, in lower case.
ALL_SPECIALTIES = frozenset({"all", "all specialties", "all programmes", "all trainees", "all learners", "total"})


def is_small(number: int) -> bool:
    """True for one and two: a number that is about somebody, and about so few that they could be known by it."""
    return 0 < abs(number) < LEAST


def in_tens(number: int) -> int:
    """A number rounded down to the ten below: for figures that anybody may watch as they change, one by one."""
    return number // 10 * 10


class SurveyRow(NamedTuple):
    """What a row of a survey is about. ``site`` is empty for the provider as a whole."""

    provider: str
    site: str
    specialty: str
    indicator: str
    year: int


@dataclass(frozen=True, slots=True)
class SurveyCount:
    """How many answered a row, and how many it said in the files before it was corrected, if it was."""

    row: SurveyRow
    respondents: int
    earlier: Sequence[int] = ()


def withheld(counts: Iterable[SurveyCount]) -> frozenset[SurveyRow]:
    """The rows whose numbers are withheld. Give all rows of one report of the providers, indicators and years at hand.

    - One or two respondents: the row itself.
    - A correction moved the respondents by one or two: what both editions show, subtracted, is about those.
    - A total over such a row, of a provider over its sites or of all specialties over each: from it and the other rows
      the withheld one would follow. Withholding the total is safer than a second part: it depends on nothing but what
      the flags tell anyway, so that nothing follows from the choice.
    - A total that leaves one or two over beyond the rows under it: a publisher that drops a small row leaves just that.
    - A row of all specialties that is not the sum of its specialties, where there are sites too: what it leaves over
      could be subtracted crosswise. Where it is the sum, it tells nothing that they do not.
    """
    families: dict[tuple[str, str, int], dict[SurveyRow, SurveyCount]] = defaultdict(dict)
    for count in counts:
        row = count.row
        families[row.provider, row.indicator, row.year][row] = count
    return frozenset(row for family in families.values() for row in _withheld_of(family))


def _withheld_of(family: Mapping[SurveyRow, SurveyCount]) -> Iterator[SurveyRow]:
    """The withheld rows of one provider, indicator and year."""
    small = [row for row, count in family.items() if _tells_of_few(count) or _leaves_few_over(count, family)]
    crosswise = any(row.site for row in family) and any(not _is_all(row.specialty) for row in family)
    for row, count in family.items():
        if (
            row in small
            or any(_is_total_of(row, part) for part in small)
            or (crosswise and _is_all(row.specialty) and _left_over(count, _specialties_of(row, family)) != 0)
        ):
            yield row


def _tells_of_few(count: SurveyCount) -> bool:
    return is_small(count.respondents) or any(is_small(count.respondents - before) for before in count.earlier)


def _leaves_few_over(total: SurveyCount, family: Mapping[SurveyRow, SurveyCount]) -> bool:
    partings = (_sites_of(total.row, family), _specialties_of(total.row, family))
    return any(parts and is_small(_left_over(total, parts)) for parts in partings)


def _left_over(total: SurveyCount, parts: Sequence[SurveyCount]) -> int:
    return total.respondents - sum(part.respondents for part in parts)


def _sites_of(total: SurveyRow, family: Mapping[SurveyRow, SurveyCount]) -> list[SurveyCount]:
    """The rows of a provider's sites, of the same specialty or of all of them like the total."""
    return [c for row, c in family.items() if _is_total_of(total, row) and _same_specialty(total, row)]


def _specialties_of(total: SurveyRow, family: Mapping[SurveyRow, SurveyCount]) -> list[SurveyCount]:
    """The rows of single specialties at the same place as a row of all of them."""
    return [c for row, c in family.items() if _is_total_of(total, row) and row.site == total.site]


def _is_total_of(total: SurveyRow, part: SurveyRow) -> bool:
    """True if the respondents of ``part`` are among those of ``total``, both of one provider, indicator and year."""
    over_sites = not total.site and bool(part.site)
    over_specialties = _is_all(total.specialty) and not _is_all(part.specialty)
    return (over_sites and (over_specialties or _same_specialty(total, part))) or (
        over_specialties and total.site == part.site
    )


def _same_specialty(one: SurveyRow, other: SurveyRow) -> bool:
    return one.specialty == other.specialty or (_is_all(one.specialty) and _is_all(other.specialty))


def _is_all(specialty: str) -> bool:
    return specialty.strip().lower() in ALL_SPECIALTIES
