"""Flags of all results of a file against each other.

Rows are held in arrays, some fifty bytes each and every number exact, so that a million of them fit into little memory.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import TypeVar

from services.intelligence.domain.flag_rule import FlagRule
from services.intelligence.domain.flags import Scores, benchmark_of, flags_in
from shared.contracts.intelligence import SurveyFlag

K = TypeVar("K")

#: A decimal as it was written: its digits as a whole number, and how many of them stand after the point.
Exact = tuple[int, int]

#: What a flag is in an array.
_FLAGS = tuple(SurveyFlag)
_CODES = {flag: code for code, flag in enumerate(_FLAGS)}

#: Whole numbers that fit into eight bytes.
_WIDEST = 2**63


@dataclass(frozen=True, slots=True)
class ResultRows:
    """Rows of a survey, by column: what the respondents of a place and specialty said on an indicator in a year."""

    providers: Sequence[str]
    #: Empty where the row is about the whole provider.
    sites: Sequence[str]
    specialties: Sequence[str]
    indicators: Sequence[str]
    years: Sequence[int]
    #: Mean and standard deviation of the respondents' scores; None at most where there are too few respondents.
    means: Sequence[Exact | None]
    deviations: Sequence[Exact | None]
    respondents: Sequence[int]


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of all rows, by their number from 0."""

    _codes: bytearray
    _triple_red: bytearray
    #: Rows of the same provider, site, specialty, indicator and year as an earlier one, each with the first such row.
    repeated: list[tuple[int, int]]

    def __len__(self) -> int:
        return len(self._codes)

    def flags(self, first: int, count: int) -> list[SurveyFlag]:
        """Those of some rows."""
        return [_FLAGS[code] for code in self._codes[first : first + count]]

    def triple_reds(self, first: int, count: int) -> list[bool]:
        """Whether some rows are red in their year and in the years before."""
        return list(map(bool, self._triple_red[first : first + count]))


class FlagTable:
    """Gathers rows, and flags them when all are there."""

    def __init__(self, rule: FlagRule, report: str | None = None) -> None:
        """``report`` says which rows are compared, by the rule; its default if None. Raises UnknownReport."""
        self._rule = rule
        self._of_one_specialty = "specialty" in rule.group(report or rule.default_report)
        self._names = _Numbered[str]()
        #: Specialty and indicator, by their names' numbers.
        self._subjects = _Numbered[tuple[int, int]]()
        #: By row: provider and site in one number, subject, year, and what the respondents said.
        self._places = array("Q")
        self._subject = array("I")
        self._years = array("H")
        self._means = _Exacts()
        self._deviations = _Exacts()
        self._respondents = array("I")

    def add(self, rows: ResultRows) -> None:
        """Add rows after those that are there."""
        number, subject = self._names.__getitem__, self._subjects.__getitem__
        places = zip(map(number, rows.providers), map(number, rows.sites), strict=True)
        self._places.extend(provider << 32 | site for provider, site in places)
        self._subject.extend(
            map(subject, zip(map(number, rows.specialties), map(number, rows.indicators), strict=True))
        )
        self._years.extend(rows.years)
        self._means.extend(rows.means)
        self._deviations.extend(rows.deviations)
        self._respondents.extend(rows.respondents)

    def flags(self) -> Flags:
        """The flags of all rows; every row counts, one that repeats another too."""
        codes = bytearray(
            _CODES[SurveyFlag.GREY if n else SurveyFlag.YELLOW] if n < self._rule.least_respondents else 0
            for n in self._respondents
        )
        multiplier = Fraction(self._rule.interval_multiplier)
        repeated: list[tuple[int, int]] = []
        for rows in self._groups():
            counted = [row for row in rows if self._respondents[row] >= self._rule.least_respondents]
            scores = self._scores(counted)
            if (benchmark := benchmark_of(scores)) is not None:
                for row, flag in zip(counted, flags_in(scores, benchmark, multiplier), strict=True):
                    codes[row] = _CODES[flag]
            repeated += self._repeated(rows)
        return Flags(codes, self._triple_reds(codes), sorted(repeated))

    def _groups(self) -> Iterator[list[int]]:
        """The rows of each benchmark group, in their order."""
        if self._of_one_specialty:
            subjects: Sequence[int] = self._subject
        else:
            indicators = [indicator for _, indicator in self._subjects]
            subjects = array("I", (indicators[subject] for subject in self._subject))
        groups = array("Q", (subject << 16 | year for subject, year in zip(subjects, self._years, strict=True)))
        in_order = array("I", sorted(range(len(groups)), key=groups.__getitem__))
        for _, rows in groupby(in_order, key=groups.__getitem__):
            yield list(rows)

    def _scores(self, rows: Sequence[int]) -> Scores:
        means, deviations = self._means, self._deviations
        decimals = max((*(means.decimals[row] for row in rows), *(deviations.decimals[row] for row in rows)), default=0)
        return Scores(
            means=means.multiples(rows, decimals),
            deviations=deviations.multiples(rows, decimals),
            respondents=[self._respondents[row] for row in rows],
            unit=10**decimals,
        )

    def _repeated(self, rows: Sequence[int]) -> Iterator[tuple[int, int]]:
        results = [(self._places[row], self._subject[row]) for row in rows]
        if len(set(results)) == len(results):
            return
        first: dict[tuple[int, int], int] = {}
        for row, result in zip(rows, results, strict=True):
            if (earlier := first.setdefault(result, row)) != row:
                yield row, earlier

    def _triple_reds(self, codes: bytearray) -> bytearray:
        """1 for each row that is red in its year and the years before, for the same place and subject."""
        red_code = _CODES[SurveyFlag.RED]
        reds = [row for row, code in enumerate(codes) if code == red_code]
        red = {self._series(row, self._years[row]) for row in reds}
        found = bytearray(len(codes))
        for row in reds:
            year = self._years[row]
            found[row] = all(
                self._series(row, year - back) in red for back in range(1, self._rule.years_of_a_triple_red)
            )
        return found

    def _series(self, row: int, year: int) -> int:
        return (self._places[row] << 64 | self._subject[row]) << 16 | year


class _Numbered(dict[K, int]):
    """Numbers things from 0 in the order in which they are met."""

    def __missing__(self, key: K) -> int:
        number = self[key] = len(self)
        return number


class _Exacts:
    """Decimals by row."""

    def __init__(self) -> None:
        self._digits = array("q")
        self.decimals = array("B")
        #: Digits that do not fit into eight bytes, by row.
        self._wide: dict[int, int] = {}

    def extend(self, values: Sequence[Exact | None]) -> None:
        """Add values after those that are there."""
        pairs = [(0, 0) if value is None else value for value in values]
        try:
            self._digits.extend(array("q", (digits for digits, _ in pairs)))
        except OverflowError:
            for digits, _ in pairs:
                fits = -_WIDEST <= digits < _WIDEST
                if not fits:
                    self._wide[len(self._digits)] = digits
                self._digits.append(digits if fits else 0)
        self.decimals.extend(decimals for _, decimals in pairs)

    def multiples(self, rows: Sequence[int], decimals: int) -> list[int]:
        """The values of some rows, as multiples of 1/10**``decimals``: none of them has more decimals."""
        scale = [10 ** (decimals - own) for own in range(decimals + 1)]
        digits, own = self._digits, self.decimals
        found = [digits[row] * scale[own[row]] for row in rows]
        if self._wide:
            for place, row in enumerate(rows):
                if row in self._wide:
                    found[place] = self._wide[row] * scale[own[row]]
        return found
