"""Flags of survey results: which results stand out from their benchmark group, decided exactly.

Source of the colours: the GMC's help on its education data reporting tool; of everything that text leaves open, the
edition of the rule (`flag_rule`). All comparisons are made on rational numbers, so that no rounding of a computer
ever decides whether intervals touch or a mean lies on a quartile.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from services.intelligence.domain.flag_rule import FlagRule
from shared.contracts.intelligence import SurveyFlag


class IncompleteResult(ValueError):
    """A result of so many respondents that it is flagged, without what that takes. ``field`` is `mean` or `sd`."""

    def __init__(self, field: str, least: int) -> None:
        super().__init__(f"is needed where n is {least} or more")
        self.field = field


@dataclass(frozen=True, slots=True)
class Result:
    """One row of a survey: what the respondents of one place and specialty said on one indicator in one year."""

    provider: str
    #: Empty where the row is about the whole provider.
    site: str
    specialty: str
    indicator: str
    year: int
    #: Mean of the respondents' scores; may be missing where there are too few of them.
    mean: Decimal | None
    #: Standard deviation of the respondents' scores; may be missing where there are too few of them.
    sd: Decimal | None
    #: Respondents.
    n: int

    def __post_init__(self) -> None:
        if self.n < 0 or (self.sd is not None and self.sd < 0):
            raise ValueError("neither n nor sd is below 0")

    @property
    def series(self) -> tuple[str, str, str, str]:
        """What stays the same from year to year."""
        return self.provider, self.site, self.specialty, self.indicator


@dataclass(frozen=True, slots=True)
class Score:
    """The numbers of a result that has enough respondents to be flagged."""

    mean: Fraction
    #: Variance of the respondents' scores.
    variance: Fraction
    n: int

    @property
    def error(self) -> Fraction:
        """Squared standard error of the mean: sd² / n."""
        return self.variance / self.n


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What the rows of a group with enough respondents have in common."""

    #: Rows it is made of, and their respondents.
    rows: int
    respondents: int
    #: Quartiles of the rows' means.
    lower_quartile: Fraction
    upper_quartile: Fraction
    #: Mean of the rows' means, weighted by respondents.
    mean: Fraction
    #: Variance of all respondents' scores: within the rows and between them, weighted by respondents as the mean is.
    variance: Fraction

    @property
    def error(self) -> Fraction:
        """Squared standard error of the mean: variance / respondents."""
        return self.variance / self.respondents


@dataclass(frozen=True, slots=True)
class Flagged:
    """A result, its flag, and the benchmark it was held against."""

    result: Result
    flag: SurveyFlag
    triple_red: bool
    #: None where the whole group has no row with enough respondents.
    benchmark: Benchmark | None


def score_of(result: Result, rule: FlagRule) -> Score | None:
    """The numbers to flag a result by, or None if it has too few respondents. Raises IncompleteResult."""
    if result.n < rule.least_respondents:
        return None
    if result.mean is None:
        raise IncompleteResult("mean", rule.least_respondents)
    if result.sd is None:
        raise IncompleteResult("sd", rule.least_respondents)
    return Score(Fraction(result.mean), Fraction(result.sd) ** 2, result.n)


def benchmark_of(scores: Sequence[Score]) -> Benchmark | None:
    """The benchmark of a group, or None if it has no row with enough respondents.

    Its variance follows the law of total variance, with the weights of its mean: Σn·(sd² + (mean−M)²) / N, what lies
    within the rows and what lies between them.
    """
    if not scores:
        return None
    # In whole multiples of one fraction: sums of many fractions of different denominators are slow.
    unit = math.lcm(*(score.mean.denominator for score in scores))
    square = math.lcm(*(score.variance.denominator for score in scores))
    means = [score.mean.numerator * (unit // score.mean.denominator) for score in scores]
    respondents = sum(score.n for score in scores)
    total = sum(score.n * mean for score, mean in zip(scores, means, strict=True))
    squares = sum(score.n * mean * mean for score, mean in zip(scores, means, strict=True))
    within = sum(s.n * s.variance.numerator * (square // s.variance.denominator) for s in scores)
    between = Fraction(respondents * squares - total * total, respondents * unit * unit)
    means.sort()
    return Benchmark(
        rows=len(scores),
        respondents=respondents,
        lower_quartile=Fraction(_quarter(means, 1), 4 * unit),
        upper_quartile=Fraction(_quarter(means, 3), 4 * unit),
        mean=Fraction(total, respondents * unit),
        variance=(Fraction(within, square) + between) / respondents,
    )


def _quarter(ordered: Sequence[int], quarters: int) -> int:
    """Four times the value that lies ``quarters``/4 of the way through, by linear interpolation."""
    whole, rest = divmod((len(ordered) - 1) * quarters, 4)
    if rest == 0:
        return 4 * ordered[whole]
    return (4 - rest) * ordered[whole] + rest * ordered[whole + 1]


def apart(distance: Fraction, first: Fraction, second: Fraction, multiplier: Fraction) -> bool:
    """True if the intervals around two means do not even touch.

    ``distance`` is that of the means, whichever is higher, ``first`` and ``second`` their squared standard errors.
    Exactly whether |distance| > multiplier·(√first + √second), without taking a root.
    """
    rest = (distance / multiplier) ** 2 - first - second
    return rest > 0 and rest * rest > 4 * first * second


def flag_of(score: Score, benchmark: Benchmark, multiplier: Fraction) -> SurveyFlag:
    """The flag of a result with enough respondents."""
    low = score.mean < benchmark.lower_quartile
    if not low and score.mean <= benchmark.upper_quartile:
        return SurveyFlag.WHITE
    outlier = apart(score.mean - benchmark.mean, score.error, benchmark.error, multiplier)
    if low:
        return SurveyFlag.RED if outlier else SurveyFlag.PINK
    return SurveyFlag.GREEN if outlier else SurveyFlag.LIGHT_GREEN


def flags_of(results: Iterable[Result], rule: FlagRule, report: str | None = None) -> list[Flagged]:
    """SurveyFlag results against each other, in their order.

    Every row counts as it stands, one that repeats another's provider, site, specialty, indicator and year too.
    Raises UnknownReport, and IncompleteResult for a row without what its flag takes.
    """
    rows = list(results)
    columns = rule.group(report or rule.default_report)
    groups = [tuple(getattr(row, column) for column in columns) for row in rows]
    scores = [score_of(row, rule) for row in rows]
    gathered: dict[tuple[object, ...], list[Score]] = {group: [] for group in groups}
    for group, score in zip(groups, scores, strict=True):
        if score is not None:
            gathered[group].append(score)
    benchmarks = {group: benchmark_of(members) for group, members in gathered.items()}
    multiplier = Fraction(rule.interval_multiplier)
    flags = [
        _flag(row, score, benchmarks[group], multiplier) for row, score, group in zip(rows, scores, groups, strict=True)
    ]
    red = _red_years(rows, flags)
    return [
        Flagged(row, flag, flag is SurveyFlag.RED and _all_red(row, red, rule), benchmarks[group])
        for row, flag, group in zip(rows, flags, groups, strict=True)
    ]


def _flag(result: Result, score: Score | None, benchmark: Benchmark | None, multiplier: Fraction) -> SurveyFlag:
    if score is None or benchmark is None:
        return SurveyFlag.YELLOW if result.n == 0 else SurveyFlag.GREY
    return flag_of(score, benchmark, multiplier)


def _red_years(rows: Sequence[Result], flags: Sequence[SurveyFlag]) -> Mapping[tuple[str, str, str, str], set[int]]:
    red: dict[tuple[str, str, str, str], set[int]] = {}
    for row, flag in zip(rows, flags, strict=True):
        if flag is SurveyFlag.RED:
            red.setdefault(row.series, set()).add(row.year)
    return red


def _all_red(row: Result, red: Mapping[tuple[str, str, str, str], set[int]], rule: FlagRule) -> bool:
    return all(row.year - back in red[row.series] for back in range(rule.years_of_a_triple_red))
