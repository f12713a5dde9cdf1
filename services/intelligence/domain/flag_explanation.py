"""Why a result has its flag: the numbers, the rule and its edition, in sentences that can be put before a provider."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from services.intelligence.domain.flag_rule import FlagRule
from shared.contracts.intelligence import SurveyFlag

_HUNDREDTH = Decimal("0.01")

_LOW = {SurveyFlag.RED, SurveyFlag.PINK}
_HIGH = {SurveyFlag.GREEN, SurveyFlag.LIGHT_GREEN}
_OUTLIERS = {SurveyFlag.RED, SurveyFlag.GREEN}


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the interval around it."""

    mean: Decimal
    half_width: Decimal

    @property
    def lower(self) -> Decimal:
        """The lower end."""
        return self.mean - self.half_width

    @property
    def upper(self) -> Decimal:
        """The upper end."""
        return self.mean + self.half_width


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a result that may be shown."""

    n: int
    mean: Decimal
    sd: Decimal

    def interval(self, rule: FlagRule) -> Interval:
        """The interval of the mean."""
        return Interval(self.mean, rule.interval_multiplier * self.sd / Decimal(self.n).sqrt())


@dataclass(frozen=True, slots=True)
class Compared:
    """The numbers of a benchmark group that may be shown."""

    results: int
    lower_quartile: Decimal
    upper_quartile: Decimal
    interval: Interval


def sentences(
    flag: SurveyFlag, triple_red: bool, numbers: Numbers | None, compared: Compared | None, rule: FlagRule
) -> list[str]:
    """Why a result has its flag. ``numbers`` and ``compared`` are None where they may not be shown."""
    return list(_sentences(flag, triple_red, numbers, compared, rule))


def _sentences(
    flag: SurveyFlag, triple_red: bool, numbers: Numbers | None, compared: Compared | None, rule: FlagRule
) -> Iterator[str]:
    if flag is SurveyFlag.YELLOW:
        yield "Nobody answered."
    elif flag is SurveyFlag.GREY:
        yield f"Fewer than {rule.least_respondents} people answered: no score is published."
    else:
        yield from _numbers(numbers, compared, rule)
        yield _place(flag)
        if flag is not SurveyFlag.WHITE:
            yield _distance(flag)
    if triple_red:
        yield f"It was red in each of the {rule.years_of_a_triple_red - 1} years before too."
    yield f"Flagged by edition {rule.version} of the rule."


def _numbers(numbers: Numbers | None, compared: Compared | None, rule: FlagRule) -> Iterator[str]:
    if numbers is None:
        yield "Its numbers are withheld: beside others they would tell of fewer than three people."
    else:
        how = f"mean ± {rule.interval_multiplier} · {_shown(numbers.sd)} / √{numbers.n}"
        yield f"{numbers.n} people answered; the mean of their scores is {_ends(numbers.interval(rule))} ({how})."
    if compared is None:
        yield "The numbers of its benchmark group are withheld: others that are withheld could be worked out from them."
        return
    quartiles = f"{_shown(compared.lower_quartile)} and {_shown(compared.upper_quartile)}"
    yield (
        f"Its benchmark group has {compared.results} results with {rule.least_respondents} respondents or more, whose "
        f"means have the quartiles {quartiles}; the mean of all respondents is {_ends(compared.interval)}."
    )


def _ends(interval: Interval) -> str:
    ends = f"{_shown(interval.lower)} to {_shown(interval.upper)}"
    return f"{_shown(interval.mean)}, with a 95 % interval from {ends}"


def _place(flag: SurveyFlag) -> str:
    if flag in _LOW:
        return "The mean is below the lower quartile."
    if flag in _HIGH:
        return "The mean is above the upper quartile."
    return "The mean is between the quartiles, or on one of them: it does not stand out."


def _distance(flag: SurveyFlag) -> str:
    if flag in _OUTLIERS:
        return f"The two intervals do not even touch: {flag.value}."
    return f"The two intervals overlap or touch: {flag.value}."


def _shown(number: Decimal) -> str:
    """To two decimals, as scores are read; the decision was made on the exact number."""
    return f"{number.quantize(_HUNDREDTH):,}" if abs(number) < Decimal(10) ** 20 else f"{number:.6e}"
