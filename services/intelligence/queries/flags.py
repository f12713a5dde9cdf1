"""What the intelligence service answers about flags, without numbers that would tell of fewer than three people."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from services.intelligence.domain.flag_explanation import Compared, Interval, Numbers, sentences
from services.intelligence.domain.small_numbers import (
    ALL_SPECIALTIES,
    Edition,
    SurveyCount,
    SurveyRow,
    is_small,
    withheld,
)
from services.intelligence.domain.spc import chart_of
from services.intelligence.policies import flag_rule
from services.intelligence.store import flags
from services.intelligence.store.flags import Family, Respondents, StoredBenchmark, StoredFlag
from services.intelligence.views.flags import (
    BenchmarkView,
    CauseView,
    CorrectionView,
    FlagExplanation,
    FlagView,
    NumbersView,
    PointView,
    RowView,
    SeriesView,
)
from shared.contracts.intelligence import SurveyFlag
from shared.persistence.pool import Connection
from shared.web.problems import NotFound

#: Results of a benchmark group below which its numbers are too much about each.
_FEWEST_COMPARED = 3

_NO_SCORE = {SurveyFlag.GREY, SurveyFlag.YELLOW}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which series is asked for; None for all specialties, or all sites, together."""

    provider_code: str
    indicator: str
    report_type: str
    specialty: str | None
    site_code: str | None


async def views(connection: Connection, found: Sequence[StoredFlag]) -> list[FlagView]:
    """Flags as they stand in a list."""
    hidden = await withheld_among(connection, found)
    return [_view(flag, flag.id in hidden) for flag in found]


async def explanation(connection: Connection, flag_id: UUID) -> FlagExplanation:
    """A flag and why it is so. Raises NotFound."""
    flag = (await flags.load(connection, [flag_id])).get(flag_id)
    if flag is None:
        raise NotFound(f"There is no flag {flag_id}.")
    rule = flag_rule(flag.edition)
    is_withheld = flag_id in await withheld_among(connection, [flag])
    numbers = None if is_withheld else _numbers(flag)
    benchmark = await _benchmark(connection, flag)
    return FlagExplanation(
        **_view(flag, is_withheld).model_dump(),
        benchmark=_benchmark_view(benchmark) if benchmark else None,
        why=sentences(flag.flag, flag.triple_red, numbers, _compared(benchmark) if benchmark else None, rule),
        corrections=[
            CorrectionView(
                version=was.version,
                flag=was.flag,
                triple_red=was.triple_red,
                edition=was.edition,
                row=RowView(file_id=was.file_id, line=was.line),
                since=was.since,
                until=was.until,
                corrected_by_file=was.corrected_by_file,
            )
            for was in await flags.corrections_of(connection, flag_id)
        ],
    )


async def series(connection: Connection, wanted: Wanted) -> SeriesView:
    """A provider's series on an indicator: in each year the mean of all respondents whose results may be shown."""
    found = await flags.of_series(connection, wanted.provider_code, wanted.indicator, wanted.report_type)
    hidden = await withheld_among(connection, found)
    shown = [
        flag
        for flag in found
        if flag.id not in hidden
        and flag.flag not in _NO_SCORE
        and wanted.specialty in (None, flag.specialty)
        and wanted.site_code in (None, flag.site_code)
    ]
    values = {year: _mean(_parts(rows)) for year, rows in _by_year(shown).items()}
    chart = chart_of(list(values.values()))
    limits = chart.limits if chart else None
    return SeriesView(
        provider_code=wanted.provider_code,
        indicator=wanted.indicator,
        report_type=wanted.report_type,
        specialty=wanted.specialty,
        site_code=wanted.site_code,
        mean=_rounded(chart.mean) if chart else None,
        lower_limit=_rounded(limits[0]) if limits else None,
        upper_limit=_rounded(limits[1]) if limits else None,
        points=[
            PointView(
                year=year,
                value=_rounded(point.value),
                causes=[CauseView(kind=cause.kind, direction=cause.direction) for cause in point.causes],
            )
            for year, point in zip(values, chart.points if chart else (), strict=True)
        ],
    )


async def withheld_among(connection: Connection, found: Iterable[StoredFlag]) -> set[UUID]:
    """The flags whose numbers are withheld."""
    families = {Family(flag.provider_code, flag.indicator, flag.year) for flag in found}
    return _withheld(await flags.respondents_of(connection, families))


def _withheld(counts: Collection[Respondents]) -> set[UUID]:
    rows = withheld(map(_count, counts))
    return {count.id for count in counts if _row(count) in rows}


def _count(count: Respondents) -> SurveyCount:
    editions: list[Edition] = []
    for n, since in zip(count.n, count.since, strict=True):
        # A flag that changed alone, as its benchmark did, says no other number.
        if not editions or editions[-1].respondents != n:
            editions.append(Edition(int(since.timestamp() * 1_000_000), n))
    *earlier, now = editions
    return SurveyCount(_row(count), now.respondents, now.since, earlier)


def _row(count: Respondents) -> SurveyRow:
    return SurveyRow(
        provider=count.provider_code,
        site=count.site_code,
        specialty=count.specialty,
        indicator=count.indicator,
        year=count.year,
        report=count.report_type,
    )


async def _benchmark(connection: Connection, flag: StoredFlag) -> StoredBenchmark | None:
    """What it was compared with, unless withheld numbers would follow from it."""
    found = await flags.benchmark(connection, flag.benchmark_id) if flag.benchmark_id is not None else None
    if found is None or found.results < _FEWEST_COMPARED:
        return None
    families = await flags.families_of(connection, flag.indicator, flag.year)
    counts = await flags.respondents_of(connection, families)
    hidden = _withheld(counts)
    rule = flag_rule(flag.edition)
    # Of a group all of whose other means are shown, the quartiles and the mean would give the one that is not.
    over_all = flag.report_type in rule.over_all_specialties
    compared = [count for count in counts if _is_among(count, flag, over_all=over_all)]
    if is_small(found.results - len(compared)):
        # The rest is of providers that are not on the register. Of one or two results all numbers would follow, and
        # with those of another group what must not be told of these providers.
        others = await flags.respondents_beyond(connection, flag.indicator, flag.year)
        hidden |= _withheld(others)
        compared += [count for count in others if _is_among(count, flag, over_all=over_all)]
    return None if any(count.id in hidden for count in compared) else found


def _is_among(count: Respondents, flag: StoredFlag, *, over_all: bool) -> bool:
    """True if a result is one of those that a flag's is compared with."""
    return (
        count.report_type == flag.report_type
        and (over_all or count.specialty == flag.specialty)
        and count.n[-1] >= flag_rule(flag.edition).least_respondents
    )


def _view(flag: StoredFlag, is_withheld: bool) -> FlagView:
    numbers = None if is_withheld else _numbers(flag)
    return FlagView(
        id=flag.id,
        provider_code=flag.provider_code,
        site_code=flag.site_code or None,
        specialty=flag.specialty,
        indicator=flag.indicator,
        year=flag.year,
        report_type=flag.report_type,
        flag=flag.flag,
        triple_red=flag.triple_red,
        edition=flag.edition,
        numbers=_numbers_view(numbers, flag.edition) if numbers else None,
        numbers_withheld=is_withheld,
        row=RowView(file_id=flag.file_id, line=flag.line),
        by_file=flag.by_file,
        version=flag.version,
        since=flag.since,
    )


def _numbers(flag: StoredFlag) -> Numbers | None:
    if flag.flag in _NO_SCORE or flag.mean is None or flag.sd is None:
        return None
    return Numbers(flag.n, flag.mean, flag.sd)


def _numbers_view(numbers: Numbers, edition: str) -> NumbersView:
    interval = numbers.interval(flag_rule(edition))
    return NumbersView(
        n=numbers.n,
        mean=float(numbers.mean),
        sd=float(numbers.sd),
        lower=_rounded(interval.lower),
        upper=_rounded(interval.upper),
    )


def _compared(benchmark: StoredBenchmark) -> Compared:
    return Compared(
        results=benchmark.results,
        lower_quartile=benchmark.lower_quartile,
        upper_quartile=benchmark.upper_quartile,
        interval=Interval(benchmark.mean, benchmark.half_width),
    )


def _benchmark_view(benchmark: StoredBenchmark) -> BenchmarkView:
    interval = Interval(benchmark.mean, benchmark.half_width)
    return BenchmarkView(
        results=benchmark.results,
        lower_quartile=_rounded(benchmark.lower_quartile),
        upper_quartile=_rounded(benchmark.upper_quartile),
        mean=_rounded(benchmark.mean),
        lower=_rounded(interval.lower),
        upper=_rounded(interval.upper),
    )


def _by_year(found: Iterable[StoredFlag]) -> dict[int, list[StoredFlag]]:
    years: dict[int, list[StoredFlag]] = defaultdict(list)
    for flag in found:
        years[flag.year].append(flag)
    return years


def _parts(rows: Sequence[StoredFlag]) -> list[StoredFlag]:
    """Rows of one year without those that only sum others up: nobody is counted twice."""
    single = [row for row in rows if not _is_over_all(row)] or list(rows)
    with_sites = {row.specialty for row in single if row.site_code}
    return [row for row in single if row.site_code or row.specialty not in with_sites]


def _is_over_all(row: StoredFlag) -> bool:
    return row.specialty.strip().lower() in ALL_SPECIALTIES


def _mean(rows: Sequence[StoredFlag]) -> Fraction:
    total = sum((row.n * Fraction(row.mean or 0) for row in rows), Fraction(0))
    return total / sum(row.n for row in rows)


def _rounded(value: Decimal | Fraction) -> float:
    return float(round(value, 4))
