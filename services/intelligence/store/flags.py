"""Flags of survey results in the database, as they are read."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import asyncpg

from shared.contracts.intelligence import SurveyFlag
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class StoredFlag:
    """A flag as it is now, with the row of the file that it is of."""

    id: UUID
    provider_code: str
    report_type: str
    indicator: str
    specialty: str
    #: Empty where the result is about no single site.
    site_code: str
    year: int
    flag: SurveyFlag
    triple_red: bool
    edition: str
    benchmark_id: int | None
    file_id: int
    line: int
    n: int
    #: As the file wrote them, if it was to 15 digits.
    mean: Decimal | None
    sd: Decimal | None
    version: int
    #: The file that led to this version: its own, or one that changed what it is compared with.
    by_file: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Correction:
    """What a flag was before a file corrected it."""

    version: int
    flag: SurveyFlag
    triple_red: bool
    edition: str
    file_id: int
    line: int
    since: datetime
    until: datetime
    corrected_by_file: int


@dataclass(frozen=True, slots=True)
class StoredBenchmark:
    """What a result was compared with."""

    results: int
    lower_quartile: Decimal
    upper_quartile: Decimal
    mean: Decimal
    half_width: Decimal


@dataclass(frozen=True, slots=True)
class Respondents:
    """How many answered for a result, now and as it was before corrections."""

    id: UUID
    report_type: str
    provider_code: str
    site_code: str
    specialty: str
    indicator: str
    year: int
    #: Each number, oldest first, and since when it was answered.
    n: tuple[int, ...]
    since: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """Results, in whatever report, of which one may be a total of others."""

    provider_code: str
    indicator: str
    year: int


def _flag(row: asyncpg.Record) -> StoredFlag:
    numbers = {name: None if row[name] is None else Decimal(repr(row[name])) for name in ("mean", "sd")}
    return StoredFlag(**{**dict(row), **numbers, "flag": SurveyFlag(row["flag"])})


async def load(connection: Connection, ids: Collection[UUID]) -> dict[UUID, StoredFlag]:
    """The flags of these ids that there are."""
    rows = await connection.fetch("select * from flags where id = any($1)", list(ids))
    return {row["id"]: _flag(row) for row in rows}


async def page(
    connection: Connection,
    *,
    provider: str | None = None,
    site: str | None = None,
    report_type: str | None = None,
    specialty: str | None = None,
    indicator: str | None = None,
    year: int | None = None,
    flag: SurveyFlag | None = None,
    triple_red: bool | None = None,
    file_id: int | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[StoredFlag]:
    """Up to ``limit`` flags in the order in which they were first given, beginning after one.

    ``file_id`` asks for those that this file gave or changed.
    """
    rows = await connection.fetch(
        """
        select * from flags
        where ($1::text is null or provider_code = $1) and ($2::text is null or site_code = $2)
          and ($3::text is null or report_type = $3) and ($4::text is null or specialty = $4)
          and ($5::text is null or indicator = $5) and ($6::int is null or year = $6)
          and ($7::text is null or flag = $7) and ($8::boolean is null or triple_red = $8)
          and ($9::bigint is null or by_file = $9) and ($10::uuid is null or id > $10)
        order by id limit $11""",
        provider,
        site,
        report_type,
        specialty,
        indicator,
        year,
        flag.value if flag else None,
        triple_red,
        file_id,
        after,
        limit,
    )
    return [_flag(row) for row in rows]


async def of_series(connection: Connection, provider: str, indicator: str, report_type: str) -> list[StoredFlag]:
    """The flags of a provider on one indicator, by year."""
    rows = await connection.fetch(
        """
        select * from flags where provider_code = $1 and report_type = $2 and indicator = $3
        order by year, specialty, site_code""",
        provider,
        report_type,
        indicator,
    )
    return [_flag(row) for row in rows]


async def corrections_of(connection: Connection, flag_id: UUID) -> list[Correction]:
    """What a flag was before, oldest first."""
    rows = await connection.fetch(
        """
        select version, flag, triple_red, edition, file_id, line, since, until, corrected_by_file
        from flag_corrections where flag_id = $1 order by version""",
        flag_id,
    )
    return [Correction(**{**dict(row), "flag": SurveyFlag(row["flag"])}) for row in rows]


async def benchmark(connection: Connection, benchmark_id: int) -> StoredBenchmark | None:
    """What a result was compared with, or None if there is no such benchmark."""
    row = await connection.fetchrow(
        "select results, lower_quartile, upper_quartile, mean, half_width from flag_benchmarks where id = $1",
        benchmark_id,
    )
    return StoredBenchmark(**dict(row)) if row else None


async def respondents_of(connection: Connection, families: Collection[Family]) -> list[Respondents]:
    """How many answered for each result of these families."""
    rows = await connection.fetch(
        """
        select f.id, f.report_type, f.provider_code, f.site_code, f.specialty, f.indicator, f.year,
               array(select c.n from flag_corrections c where c.flag_id = f.id order by c.version) || f.n as n,
               array(select c.since from flag_corrections c where c.flag_id = f.id order by c.version) || f.since
                   as since
        from unnest($1::text[], $2::text[], $3::int[]) as k (provider_code, indicator, year)
        join flags f using (provider_code, indicator, year)""",
        [family.provider_code for family in families],
        [family.indicator for family in families],
        [family.year for family in families],
    )
    return [_respondents(row) for row in rows]


def _respondents(row: asyncpg.Record) -> Respondents:
    return Respondents(**{**dict(row), "n": tuple(row["n"]), "since": tuple(row["since"])})


async def respondents_beyond(connection: Connection, indicator: str, year: int) -> list[Respondents]:
    """How many answered for each result on one indicator in one year of providers that are not on the register."""
    rows = await connection.fetch(
        """
        select uuidv7() as id, r.report_type, r.provider_code, r.site_code, r.specialty, r.indicator, r.year,
               array_agg(r.n order by f.finished_at, f.id) as n,
               array_agg(f.finished_at order by f.finished_at, f.id) as since
        from survey_result_rows r join import_files f on f.id = r.file_id and f.finished_at is not null
        where r.indicator = $1 and r.year = $2
          and not exists (select from organisations o where o.ods_code = r.provider_code)
        group by r.report_type, r.provider_code, r.site_code, r.specialty, r.indicator, r.year""",
        indicator,
        year,
    )
    return [_respondents(row) for row in rows]


async def families_of(connection: Connection, indicator: str, year: int) -> list[Family]:
    """All families on one indicator in one year: whoever may be compared with each other is among them."""
    rows = await connection.fetch(
        "select distinct provider_code from flags where indicator = $1 and year = $2", indicator, year
    )
    return [Family(row["provider_code"], indicator, year) for row in rows]
