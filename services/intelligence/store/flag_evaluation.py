"""Flagging stored survey results, all rows of many groups at once.

It is the rule of ``domain.flags``, in SQL; a test holds the two against each other. Sums and comparisons are made on
``numeric``, which is exact: a double that was written as a decimal of up to 15 digits becomes that decimal again. Where
a mean lies and whether intervals are apart is first asked of doubles, and where these come close, of ``numeric``.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from services.intelligence.domain.flag_rule import FlagRule
from shared.persistence.pool import Connection

#: Seconds that one statement over millions of rows may take.
_TIMEOUT_S = 600

#: New flags from which on what the planner knew of the table is no longer true.
_MANY = 5_000

_GROUPS_OF_FILE = """
    create temporary table flag_groups on commit drop as
    select row_number() over ()::int as number, report_type, indicator, year, specialty
    from (
        select distinct report_type, indicator, year,
               case when report_type = any($1::text[]) then '' else specialty end collate "C" as specialty
        from survey_results where file_id = $2
    ) as touched"""

_GROUPS_OF_PROVIDERS = """
    create temporary table flag_groups on commit drop as
    select row_number() over ()::int as number, report_type, indicator, year, specialty
    from (
        select distinct report_type, indicator, year,
               case when report_type = any($1::text[]) then '' else specialty end collate "C" as specialty
        from survey_results where provider_code = any($2::text[])
    ) as touched"""

# $1 report types over all specialties, $2 fewest respondents, $3 first and $4 last year: as numbers, so that the
# planner knows how many rows they are. For k results the quartiles lie between the (k-1)/4th and the next of their
# means in order. total is the sum of n·mean, and spread N² times the variance of the benchmark, which is the sum of
# n·(sd² + mean²) over N, less the square of its mean.
_COMPARED = """
    create temporary table flag_compared on commit drop as
    with summed as (
        select number, count(*)::int as results, sum(n)::numeric as respondents, sum(n * m) as total,
               sum(n * (m * m + s * s)) as squares, array_agg(mean order by mean) as means
        from (
            select g.number, r.n, r.mean, r.mean::numeric as m, r.sd::numeric as s
            from survey_results r
            join flag_groups g on g.report_type = r.report_type and g.indicator = r.indicator and g.year = r.year
                and g.specialty = case when r.report_type = any($1::text[]) then '' else r.specialty end
            where r.n >= $2 and r.year between $3 and $4
            offset 0  -- each number is cast once
        ) as scores
        group by number
    )
    select number, g.report_type, g.indicator, g.year, g.specialty as compared, results, respondents, total,
           respondents * squares - total * total as spread,
           (4 - (results - 1) % 4) * means[1 + (results - 1) / 4]::numeric
               + (results - 1) % 4 * coalesce(means[2 + (results - 1) / 4]::numeric, 0) as lower4,
           (4 - 3 * (results - 1) % 4) * means[1 + 3 * (results - 1) / 4]::numeric
               + 3 * (results - 1) % 4 * coalesce(means[2 + 3 * (results - 1) / 4]::numeric, 0) as upper4,
           sqrt((respondents * squares - total * total) / (respondents * respondents * respondents))::float8 as error
    from summed join flag_groups g using (number)"""

# $1 edition, $2 instant
_END_BENCHMARKS = """
    update flag_benchmarks b set ended_at = $2
    from flag_groups g
    left join flag_compared c using (number)
    where b.ended_at is null and b.report_type = g.report_type and b.indicator = g.indicator and b.year = g.year
      and b.specialty = g.specialty
      and (b.edition, b.results, b.respondents, b.lower_quartile, b.upper_quartile, b.mean, b.variance)
          is distinct from ($1::text, c.results, c.respondents::bigint, c.lower4 / 4, c.upper4 / 4,
                            c.total / c.respondents, c.spread / (c.respondents * c.respondents))"""

# $1 edition, $2 multiplier, $3 file, $4 instant
_ADD_BENCHMARKS = """
    insert into flag_benchmarks (report_type, specialty, indicator, year, edition, results, respondents, lower_quartile,
                                 upper_quartile, mean, variance, half_width, by_file, since)
    select c.report_type, c.compared, c.indicator, c.year, $1, c.results, c.respondents::bigint, c.lower4 / 4,
           c.upper4 / 4, c.total / c.respondents, c.spread / (c.respondents * c.respondents),
           $2::numeric * sqrt(c.spread / (c.respondents * c.respondents * c.respondents)), $3, $4
    from flag_compared c
    where not exists (
        select from flag_benchmarks b
        where b.ended_at is null and b.report_type = c.report_type and b.indicator = c.indicator and b.year = c.year
          and b.specialty = c.compared)"""

# All that a row is held against, by group, so that a million rows are joined to it once.
_PLACED = """
    create temporary table flag_placed on commit drop as
    select g.report_type, g.indicator, g.year, g.specialty as compared, b.id as benchmark_id, c.respondents, c.total,
           c.spread, c.lower4, c.upper4, c.error, (c.lower4 / 4)::float8 as lower, (c.upper4 / 4)::float8 as upper,
           (c.total / c.respondents)::float8 as middle
    from flag_groups g
    left join flag_compared c using (number)
    left join flag_benchmarks b on b.ended_at is null and b.report_type = c.report_type and b.indicator = c.indicator
        and b.year = c.year and b.specialty = c.compared"""

# $1 fewest respondents, $2 multiplier; $3/$4 is the multiplier as a fraction of whole numbers; $5 edition; $6 report
# types over all specialties; $7 first and $8 last year.
# Doubles say where a mean and an interval lie, and numeric where these are so close that doubles may be wrong: they err
# by some 1e-15 of the numbers they begin with. far is N times the distance of the means. Intervals are apart if
# far/N > multiplier·(sd/√n + error). Both sides times what clears every denominator, and squared twice: rest > 0 and
# rest² > 4·$3⁴·N³·sd²·spread·n.
_FLAGGED = """
    create temporary table flag_staged on commit drop as
    with measured as (
        select r.*, p.benchmark_id, p.respondents, p.total, p.spread, p.lower4, p.upper4,
               r.mean - p.lower as over_lower, r.mean - p.upper as over_upper, abs(p.middle - r.mean) as distance,
               $2::float8 * (r.sd / sqrt(greatest(r.n, 1)::float8) + p.error) as reach,
               abs(r.mean) + abs(p.middle) + abs(p.lower) + abs(p.upper) as size
        from survey_results r
        join organisations o on o.ods_code = r.provider_code
        join flag_placed p on p.report_type = r.report_type and p.indicator = r.indicator and p.year = r.year
            and p.compared = case when r.report_type = any($6::text[]) then '' else r.specialty end
        where r.year between $7 and $8
        offset 0  -- each is worked out once
    ), placed as (
        select m.*,
               case when abs(over_lower) > 1e-9 * size then over_lower < 0 else 4 * mean::numeric < lower4 end as low,
               case when abs(over_upper) > 1e-9 * size then over_upper > 0 else 4 * mean::numeric > upper4 end as high,
               abs(distance - reach) <= 1e-9 * (size + reach) as close
        from measured m
        offset 0
    ), judged as (
        select p.*, sd::numeric * sd::numeric as variance,
               case when close and (low or high) then
                   $4::numeric * $4 * (total - respondents * mean::numeric) * (total - respondents * mean::numeric) * n
                       * respondents
                   - $3::numeric * $3 * (respondents * respondents * respondents * sd::numeric * sd::numeric
                                         + spread * n)
               end as rest
        from placed p
    )
    select file_id, line, report_type, provider_code, site_code, specialty, indicator, year, mean, sd, n, benchmark_id,
           $5::text as edition, false as triple_red,
           case when n = 0 then 'yellow'
                when n < $1 then 'grey'
                when not low and not high then 'white'
                when case when not close then distance > reach
                          else rest > 0 and
                               rest * rest > 4 * $3::numeric * $3 * $3 * $3 * respondents * respondents * respondents
                                             * variance * spread * n end
                then case when low then 'red' else 'green' end
                else case when low then 'pink' else 'light-green' end end as flag
    from judged"""

# Red ones of later years, whose triple red may come or go with a year that is flagged now. $1 years of a
# triple red, $2 report types over all specialties.
_LATER_YEARS = """
    insert into flag_staged
    select f.file_id, f.line, f.report_type, f.provider_code, f.site_code, f.specialty, f.indicator, f.year, f.mean,
           f.sd, f.n, f.benchmark_id, f.edition, false, f.flag
    from flags f
    where f.flag = 'red'
      and exists (
        select from flag_groups g
        where g.report_type = f.report_type and g.indicator = f.indicator
          and g.specialty = case when f.report_type = any($2::text[]) then '' else f.specialty end
          and g.year between f.year - ($1 - 1) and f.year - 1)
      and not exists (
        select from flag_groups g
        where g.report_type = f.report_type and g.indicator = f.indicator and g.year = f.year
          and g.specialty = case when f.report_type = any($2::text[]) then '' else f.specialty end)"""

# $1 and $2 likewise.
_TRIPLE_RED = """
    with red as (
        select provider_code, report_type, indicator, specialty, site_code, year from flag_staged where flag = 'red'
        union
        select provider_code, report_type, indicator, specialty, site_code, year from flags f
        where flag = 'red' and not exists (
            select from flag_groups g
            where g.report_type = f.report_type and g.indicator = f.indicator and g.year = f.year
              and g.specialty = case when f.report_type = any($2::text[]) then '' else f.specialty end)
    ), whole as (
        select provider_code, report_type, indicator, specialty, site_code, now.year
        from red now join red earlier using (provider_code, report_type, indicator, specialty, site_code)
        where earlier.year between now.year - ($1 - 1) and now.year
        group by provider_code, report_type, indicator, specialty, site_code, now.year
        having count(*) = $1
    )
    update flag_staged s set triple_red = true
    from whole w
    where (s.provider_code, s.report_type, s.indicator, s.year, s.specialty, s.site_code)
        = (w.provider_code, w.report_type, w.indicator, w.year, w.specialty, w.site_code)"""

# $1 file, $2 instant
_KEEP_WHAT_WAS = """
    insert into flag_corrections (flag_id, version, flag, triple_red, edition, benchmark_id, file_id, line, n, mean, sd,
                                  by_file, since, until, corrected_by_file)
    select f.id, f.version, f.flag, f.triple_red, f.edition, f.benchmark_id, f.file_id, f.line, f.n, f.mean, f.sd,
           f.by_file, f.since, $2, coalesce($1, s.file_id)
    from flags f join flag_staged s
        on (s.provider_code, s.report_type, s.indicator, s.year, s.specialty, s.site_code)
         = (f.provider_code, f.report_type, f.indicator, f.year, f.specialty, f.site_code)
    where (f.flag, f.triple_red, f.edition, f.file_id, f.line, f.n, f.mean, f.sd)
        is distinct from (s.flag, s.triple_red, s.edition, s.file_id, s.line, s.n, s.mean, s.sd)"""

_CORRECT = """
    update flags f
    set flag = s.flag, triple_red = s.triple_red, edition = s.edition, benchmark_id = s.benchmark_id,
        file_id = s.file_id, line = s.line, n = s.n, mean = s.mean, sd = s.sd, version = f.version + 1,
        by_file = coalesce($1, s.file_id), since = $2
    from flag_staged s
    where (s.provider_code, s.report_type, s.indicator, s.year, s.specialty, s.site_code)
        = (f.provider_code, f.report_type, f.indicator, f.year, f.specialty, f.site_code)
      and (f.flag, f.triple_red, f.edition, f.file_id, f.line, f.n, f.mean, f.sd)
        is distinct from (s.flag, s.triple_red, s.edition, s.file_id, s.line, s.n, s.mean, s.sd)"""

_COMPARE_ANEW = """
    update flags f set benchmark_id = s.benchmark_id
    from flag_staged s
    where (s.provider_code, s.report_type, s.indicator, s.year, s.specialty, s.site_code)
        = (f.provider_code, f.report_type, f.indicator, f.year, f.specialty, f.site_code)
      and f.benchmark_id is distinct from s.benchmark_id"""

_ADD = """
    insert into flags (provider_code, report_type, indicator, specialty, site_code, year, flag, triple_red, edition,
                       benchmark_id, file_id, line, n, mean, sd, by_file, since)
    select provider_code, report_type, indicator, specialty, site_code, year, flag, triple_red, edition, benchmark_id,
           file_id, line, n, mean, sd, coalesce($1, file_id), $2
    from flag_staged s
    where not exists (
        select from flags f
        where (s.provider_code, s.report_type, s.indicator, s.year, s.specialty, s.site_code)
            = (f.provider_code, f.report_type, f.indicator, f.year, f.specialty, f.site_code))
    order by provider_code  -- so much order is enough for an index to be filled page by page"""


async def of_file(connection: Connection, rule: FlagRule, file_id: int, at: datetime) -> int:
    """Flag anew all groups that a file has results in; returns how many flags are new or corrected.

    A second time for the same file changes nothing. The file's rows must already count.
    """
    groups = await _gather(connection, _GROUPS_OF_FILE, rule.over_all_specialties, file_id)
    return await _evaluate(connection, rule, file_id, at) if groups else 0


async def of_providers(connection: Connection, rule: FlagRule, codes: Sequence[str], at: datetime) -> int:
    """Flag the results of organisations that are new to the register; returns how many flags are new or corrected."""
    if not codes:
        return 0
    groups = await _gather(connection, _GROUPS_OF_PROVIDERS, rule.over_all_specialties, list(codes))
    return await _evaluate(connection, rule, None, at) if groups else 0


async def _gather(connection: Connection, statement: str, *arguments: object) -> int:
    """Set out the groups to flag; returns how many they are."""
    # Two files at once would each compare with a benchmark that knows nothing of the other.
    await connection.execute("lock table flags in share row exclusive mode", timeout=_TIMEOUT_S)
    await connection.execute(
        "drop table if exists pg_temp.flag_groups, pg_temp.flag_compared, pg_temp.flag_placed, pg_temp.flag_staged"
    )
    return await _run(connection, statement, *arguments)


async def _evaluate(connection: Connection, rule: FlagRule, file_id: int | None, at: datetime) -> int:
    # Planned as a few rows before they are counted, a million rows would be compared with every group one by one.
    await connection.execute("set local enable_nestloop = off; set local work_mem = '64MB'")
    multiplier, least, edition = Fraction(rule.interval_multiplier), rule.least_respondents, rule.version
    await _analyse(connection, "flag_groups")
    years = await connection.fetchrow("select min(year), max(year) from flag_groups")
    assert years is not None
    await _run(connection, _COMPARED, rule.over_all_specialties, least, *years)
    await _analyse(connection, "flag_compared")
    await _run(connection, _END_BENCHMARKS, edition, at)
    await _run(connection, _ADD_BENCHMARKS, edition, rule.interval_multiplier, file_id, at)
    await _run(connection, _PLACED)
    await _analyse(connection, "flag_placed")
    await _run(
        connection,
        _FLAGGED,
        least,
        float(multiplier),
        Decimal(multiplier.numerator),
        Decimal(multiplier.denominator),
        edition,
        rule.over_all_specialties,
        *years,
    )
    await _run(connection, _LATER_YEARS, rule.years_of_a_triple_red, rule.over_all_specialties)
    await _analyse(connection, "flag_staged")
    await _run(connection, _TRIPLE_RED, rule.years_of_a_triple_red, rule.over_all_specialties)
    await _run(connection, _KEEP_WHAT_WAS, file_id, at)
    corrected = await _run(connection, _CORRECT, file_id, at)
    await _run(connection, _COMPARE_ANEW)
    added = await _run(connection, _ADD, file_id, at)
    if added + corrected > _MANY:
        # What reads them next, in this transaction, would be planned as if there were none of them.
        await _analyse(connection, "flags")
    await connection.execute("set local enable_nestloop to default; set local work_mem to default")
    return corrected + added


async def _run(connection: Connection, statement: str, *arguments: object) -> int:
    """Run a statement; returns how many rows it was about."""
    done = await connection.execute(statement, *arguments, timeout=_TIMEOUT_S)
    return int(done.split()[-1])


async def _analyse(connection: Connection, table: str) -> None:
    # A new table has no statistics of its own accord, and a bad plan over millions of rows takes hours.
    await connection.execute(f"analyze {table}", timeout=_TIMEOUT_S)
