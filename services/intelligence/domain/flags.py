"""Flags of survey results: which results stand out from their benchmark group, decided exactly.

Source of the colours: the GMC's help on its education data reporting tool; of everything that text leaves open, the
edition of the rule (`flag_rule`). All comparisons are made on whole numbers, so that no rounding of a computer ever
decides whether intervals touch or a mean lies on a quartile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import mul

from shared.contracts.intelligence import SurveyFlag


@dataclass(frozen=True, slots=True)
class Scores:
    """The numbers of the results of one group that have enough respondents, in the order of the results."""

    #: Means of the respondents' scores and their standard deviations, as multiples of 1/``unit``.
    means: Sequence[int]
    deviations: Sequence[int]
    respondents: Sequence[int]
    #: 100 if no number has more than two decimals.
    unit: int


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What the results of a group with enough respondents have in common."""

    #: Results it is made of, and their respondents.
    results: int
    respondents: int
    #: Sum of all respondents' scores, as a multiple of 1/``unit``.
    total: int
    #: Squared number of respondents times the variance of their scores, as a multiple of 1/``unit``².
    spread: int
    #: Four times the quartiles of the results' means, as multiples of 1/``unit``.
    lower4: int
    upper4: int
    unit: int

    @property
    def lower_quartile(self) -> Fraction:
        """First quartile of the results' means."""
        return Fraction(self.lower4, 4 * self.unit)

    @property
    def upper_quartile(self) -> Fraction:
        """Third quartile of the results' means."""
        return Fraction(self.upper4, 4 * self.unit)

    @property
    def mean(self) -> Fraction:
        """Mean of the results' means, weighted by respondents."""
        return Fraction(self.total, self.respondents * self.unit)

    @property
    def variance(self) -> Fraction:
        """Variance of all respondents' scores: within the results and between them, weighted as the mean is."""
        return Fraction(self.spread, (self.respondents * self.unit) ** 2)


def benchmark_of(scores: Scores) -> Benchmark | None:
    """The benchmark of a group, or None if it has no result with enough respondents.

    Its variance follows the law of total variance, with the weights of its mean: Σn·(sd² + (mean−M)²) / N, what lies
    within the results and what lies between them. That is (N·Σn·(sd² + mean²) − (Σn·mean)²) / N².
    """
    if not scores.means:
        return None
    means, deviations, respondents = scores.means, scores.deviations, scores.respondents
    everybody = sum(respondents)
    sums = list(map(mul, respondents, means))
    total = sum(sums)
    squares = sum(map(mul, sums, means)) + sum(map(mul, respondents, map(mul, deviations, deviations)))
    ordered = sorted(means)
    return Benchmark(
        results=len(means),
        respondents=everybody,
        total=total,
        spread=everybody * squares - total * total,
        lower4=_quarter(ordered, 1),
        upper4=_quarter(ordered, 3),
        unit=scores.unit,
    )


def _quarter(ordered: Sequence[int], quarters: int) -> int:
    """Four times the value that lies ``quarters``/4 of the way through, by linear interpolation."""
    whole, rest = divmod((len(ordered) - 1) * quarters, 4)
    if rest == 0:
        return 4 * ordered[whole]
    return (4 - rest) * ordered[whole] + rest * ordered[whole + 1]


def apart(distance: int | Fraction, first: int | Fraction, second: int | Fraction) -> bool:
    """True if the intervals around two means do not even touch.

    All three are squared: the distance of the means, and half the width of each interval. Exactly whether
    √distance > √first + √second, without taking a root.
    """
    rest = distance - first - second
    return rest > 0 and rest * rest > 4 * first * second


def flags_in(scores: Scores, benchmark: Benchmark, multiplier: Fraction) -> list[SurveyFlag]:
    """The flag of each result of a group, by its benchmark; ``multiplier`` standard errors are half an interval."""
    found: list[SurveyFlag] = []
    lower4, upper4, total, everybody = benchmark.lower4, benchmark.upper4, benchmark.total, benchmark.respondents
    # Half widths are multiplier·sd/√n and multiplier·√(spread/N³): squared, times what clears all denominators.
    times, over = multiplier.numerator**2, multiplier.denominator**2 * everybody
    within, between = times * everybody**3, times * benchmark.spread
    for mean, deviation, n in zip(scores.means, scores.deviations, scores.respondents, strict=True):
        low = 4 * mean < lower4
        if not low and 4 * mean <= upper4:
            found.append(SurveyFlag.WHITE)
            continue
        far = total - everybody * mean
        if apart(over * n * far * far, within * deviation * deviation, between * n):
            found.append(SurveyFlag.RED if low else SurveyFlag.GREEN)
        else:
            found.append(SurveyFlag.PINK if low else SurveyFlag.LIGHT_GREEN)
    return found
