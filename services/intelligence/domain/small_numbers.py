"""Small numbers of a survey: whose numbers are withheld, so that nothing under three respondents can be worked out.

Source: nothing is published for fewer than three respondents (the GMC's reporting tool shows such results in grey), nor
anything that lets one be worked out by subtraction. What is withheld is a row's *numbers*: respondents, mean, spread
and all that is computed from them. Its flag stays: the rule that gives it is public.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

#: Fewest people that a published number may be about.
LEAST = 3

#: Sums of rows that different reports give differently, of which each could be subtracted from a total.
_MOST_SUMS = 1_000

#: How survey files name a row over all specialties of a provider or site, in lower case.
ALL_SPECIALTIES = frozenset({"", "all", "all specialties", "all programmes", "all trainees", "all learners", "total"})


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
    #: Which report of the survey it stands in: the same people may be counted in several.
    report: str = "nts"


class Edition(NamedTuple):
    """How many a row said had answered it, from an instant on; what comes at one instant was never seen apart."""

    since: int
    respondents: int


@dataclass(frozen=True, slots=True)
class SurveyCount:
    """How many answered a row, and how many it said before it was corrected, if it was."""

    row: SurveyRow
    respondents: int
    since: int = 0
    #: Oldest first.
    earlier: Sequence[Edition] = ()

    @property
    def editions(self) -> Sequence[Edition]:
        """All that it ever said, oldest first."""
        return (*self.earlier, Edition(self.since, self.respondents))

    def at(self, instant: int) -> int | None:
        """What it said at an instant; None if it had not come yet."""
        return next((one.respondents for one in reversed(self.editions) if one.since <= instant), None)


def withheld(counts: Iterable[SurveyCount]) -> frozenset[SurveyRow]:
    """The rows whose numbers are withheld. Give all rows, in all reports, of a provider's indicators and years at hand.

    - One or two respondents: the row itself.
    - A correction moved the respondents by one or two: what both editions show, subtracted, is about those. Likewise
      two reports that differ by one or two about the same.
    - A total over such a row, of a provider over its sites or of all specialties over each: from it and the other rows
      the withheld one would follow. Withholding the total is safer than a second part: it depends on nothing but what
      the flags tell anyway, so that nothing follows from the choice.
    - A total that leaves one or two over beyond the rows under it: a publisher that drops a small row leaves just that.
      Likewise one that left so few over at any time, or of which what it leaves over changed by so few: whoever read
      each edition can subtract those of one time, and then the two times.
    - A total of all specialties that leaves any number over, where another total does too: what they leave over could
      be subtracted crosswise. Where it is the sum of its rows, it tells nothing that they do not.
    - What came, or was corrected, later than a total that is withheld now, and is part of it: the total may have been
      read before.
    """
    families: dict[tuple[str, str, int], list[SurveyCount]] = defaultdict(list)
    for count in counts:
        families[count.row.provider, count.row.indicator, count.row.year].append(count)
    return frozenset(row for family in families.values() for row in _withheld_of(family))


class _Scope(NamedTuple):
    """What a row is about within its family. Empty: all sites, all specialties."""

    site: str
    specialty: str

    @property
    def is_total(self) -> bool:
        return not self.site or not self.specialty

    def holds(self, other: "_Scope") -> bool:
        """True if the respondents of the other are among those of this one."""
        return self != other and self.site in ("", other.site) and self.specialty in ("", other.specialty)

    def crosses(self, other: "_Scope") -> bool:
        """True if one is of a site and the other of a specialty: some respondents may be in both."""
        return (
            bool(self.site) != bool(other.site)
            and bool(self.specialty) != bool(other.specialty)
            and (bool(self.site) != bool(self.specialty))
        )


def _withheld_of(family: Sequence[SurveyCount]) -> Iterator[SurveyRow]:
    """The withheld rows of one provider, indicator and year."""
    by_scope: dict[_Scope, list[SurveyCount]] = defaultdict(list)
    for count in family:
        by_scope[_scope(count.row)].append(count)
    respondents = {scope: {count.respondents for count in same} for scope, same in by_scope.items()}
    left_over = {scope: _left_over(scope, respondents) for scope in by_scope if scope.is_total}
    ever = {scope: set(numbers) for scope, numbers in left_over.items()}
    for instant in sorted({edition.since for count in family for edition in count.earlier}):
        then = _at(instant, by_scope)
        for scope in ever.keys() & then.keys():
            ever[scope] |= _left_over(scope, then)
    few = [scope for scope, same in by_scope.items() if _tells_of_few(same) or _are_close(ever.get(scope, ()))]
    incomplete = [scope for scope, numbers in left_over.items() if any(numbers)]
    crosswise = [scope for scope in incomplete if not scope.specialty and len(incomplete) > 1]
    hidden = {
        scope
        for scope in by_scope
        if scope in few or scope in crosswise or any(scope.holds(part) for part in (*few, *crosswise))
    }
    known_before = [scope for scope in hidden if scope.is_total]
    came = {total: min(count.editions[0].since for count in by_scope[total]) for total in known_before}
    for scope, same in by_scope.items():
        last = max(count.since for count in same)
        if scope in hidden or any(total.holds(scope) and came[total] < last for total in known_before):
            yield from (count.row for count in same)


def _at(instant: int, by_scope: Mapping[_Scope, Sequence[SurveyCount]]) -> dict[_Scope, set[int]]:
    """The respondents of each scope that had come by an instant, in whichever report."""
    found = {scope: {count.at(instant) for count in same} - {None} for scope, same in by_scope.items()}
    return {scope: {number for number in numbers if number is not None} for scope, numbers in found.items() if numbers}


def _are_close(numbers: Collection[int]) -> bool:
    """True if one of the numbers, or how two of them differ, is about one or two people."""
    in_order = sorted(numbers)
    return any(map(is_small, in_order)) or any(is_small(more - less) for less, more in pairwise(in_order))


def _tells_of_few(same: Sequence[SurveyCount]) -> bool:
    """True if the rows about one scope, one for each report, tell of one or two people."""
    numbers = [count.respondents for count in same]
    return (
        any(is_small(number) for number in numbers)
        or any(is_small(one - other) for one in numbers for other in numbers)
        or any(is_small(count.respondents - before.respondents) for count in same for before in count.earlier)
    )


def _left_over(total: _Scope, respondents: Mapping[_Scope, Collection[int]]) -> set[int]:
    """What each row about a total has beyond the smallest rows that are among it, taken from whichever report.

    Nothing if there are none, unless other totals cross it: then all it has could be parted by them.
    """
    parts = [scope for scope in respondents if total.holds(scope)]
    smallest = [scope for scope in parts if not any(scope.holds(other) for other in respondents)]
    if not smallest and not any(total.crosses(scope) for scope in respondents):
        return set()
    among = {0}
    for scope in smallest:
        among = {number + more for number in among for more in respondents[scope]}
        if len(among) > _MOST_SUMS:
            # So many sums that some of them come close: as if one did.
            return {LEAST - 1}
    return {number - part for number in respondents[total] for part in among}


def _scope(row: SurveyRow) -> _Scope:
    is_all = row.specialty.strip().lower() in ALL_SPECIALTIES
    return _Scope(row.site, "" if is_all else row.specialty)
