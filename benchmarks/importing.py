"""What it costs to take a survey in safely, beside the barest way to get the same rows and the same flags.

The service that runs is sent a file of a million results over HTTP, keeps it, checks every cell, puts every row in once
with its file and line, and draws the flags from it: the clock runs from the first byte sent to its answer. Bare is COPY
of the same file by PostgreSQL itself into a table without keys, index or check, and then the same flags by the same
statements, once. Both have durable databases, and start each round with empty tables.

Those results are of providers that are not in the register: flags are drawn of all groups and kept of none. Afterwards
the same file goes in once more with its providers in the register: ``registered_s`` is how long it takes to keep and
announce a flag for every row too.

``beside_groups`` holds the import without its flags against bare COPY with a plain aggregation by group instead: the
means' quartiles, the weighted mean and the spread of every specialty, indicator and year.
"""

from __future__ import annotations

import csv
import random
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import asyncpg
import httpx

from benchmarks import resources
from benchmarks.figures import Bar, Figure, median_ratio
from benchmarks.ground import Ground
from services.intelligence.commands.flagging import flag_file
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.pool import connect
from shared.security.roles import Role
from shared.security.tokens import issue

_HEADER = ("provider", "site", "specialty", "indicator", "year", "mean", "sd", "n")
_PROVIDER_HEADER = ("ods_code", "name", "kind", "parent_code", "valid_from", "valid_to", "successor_code", "source")
_INDICATORS = (
    "Adequate experience", "Clinical supervision", "Clinical supervision out of hours", "Curriculum coverage",
    "Educational governance", "Educational supervision", "Feedback", "Handover", "Induction", "Local teaching",
    "Overall satisfaction", "Regional teaching", "Reporting systems", "Rota design", "Study leave",
    "Supportive environment", "Teamwork", "Workload",
)  # fmt: skip
_SPECIALTIES = tuple(f"Specialty {number}" for number in range(1, 41))
_YEARS = range(2011, 2026)

#: Seconds that one statement over all rows may take.
_LIMIT_S = 600.0

_BARE = """
    create table bare (
        provider text, site text, specialty text, indicator text, year int, mean float8, sd float8, n int
    )
"""

_GROUPS = """
    select count(*), sum(lower + upper + mean + spread) from (
        select percentile_cont(0.25) within group (order by mean) as lower,
               percentile_cont(0.75) within group (order by mean) as upper,
               sum(n * mean) / sum(n) as mean, sum(n * mean * mean) + sum((n - 1) * sd * sd) as spread
        from bare where n >= 3 group by specialty, indicator, year
    ) as groups
"""

#: The same rows as the import leaves them, so that the same statements draw the same flags from them.
_AS_STORED = """
    with file as (
        insert into import_files (source, name, digest, mapping, size, began_by, began_at, finished_at)
        values ('nts', 'bare', '', '', 0, 'benchmark', now(), now()) returning id
    )
    insert into survey_result_rows (file_id, line, report_type, provider_code, site_code, specialty, indicator, year,
                                    mean, sd, n)
    select file.id, row_number() over (), 'nts', provider, site, specialty, indicator, year, mean, sd, n
    from bare, file
"""


async def measure(ground: Ground, bars: dict[str, Bar], quick: bool) -> list[Figure]:
    """Import and bare COPY in turns, and the memory of the service meanwhile."""
    rows, rounds = (50_000, 1) if quick else (1_000_000, 5)
    file = ground.stack.options.data_dir / "survey.csv"
    write_survey(file, rows)
    imports: list[float] = []
    bare: list[tuple[float, float, float]] = []
    finishing: list[float] = []
    async with resources.watching_memory(ground) as memory:
        for _ in range(rounds):
            took, flagged = await _import(ground, file, rows)
            imports.append(took)
            finishing.append(flagged)
            bare.append(await _bare(ground, file))
        registered = await _registered(ground, file, rows)
    copies, groups, flags = zip(*bare, strict=True)
    both = [copy + flag for copy, flag in zip(copies, flags, strict=True)]
    without = [took - flag + group for took, flag, group in zip(imports, flags, groups, strict=True)]
    plain = [copy + group for copy, group in zip(copies, groups, strict=True)]
    return [
        Figure(
            "import_ratio",
            median_ratio(imports, both),
            bars["import_ratio"],
            {
                "rows": rows,
                "import_s": _rounded(imports),
                "of_it_finishing_s": _rounded(finishing),
                "copy_s": _rounded(copies),
                "flags_s": _rounded(flags),
                "groups_s": _rounded(groups),
                "rows_per_s": round(rows / median(imports)),
                "registered_s": round(registered, 2),
                "beside_groups": round(median_ratio(without, plain), 2),
            },
        ),
        Figure("import_rss_mb", memory["intelligence"], bars["import_rss_mb"], {"rows": rows}),
    ]


def write_survey(file: Path, rows: int) -> None:
    """A survey of made-up providers, the same each time."""
    chance = random.Random(rows)
    written = 0
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(_HEADER)
        for provider in range(10_000):
            code = f"FICTBE{provider:04}"
            for specialty in chance.sample(_SPECIALTIES, 10):
                for year in _YEARS:
                    for indicator in _INDICATORS:
                        if written == rows:
                            return
                        mean, sd = f"{chance.uniform(40, 95):.2f}", f"{chance.uniform(5, 25):.2f}"
                        writer.writerow((code, f"{code}A", specialty, indicator, year, mean, sd, chance.randint(0, 40)))
                        written += 1


async def _import(ground: Ground, file: Path, rows: int) -> tuple[float, float]:
    """Seconds of one import by the service, and how many of them went by from its last row on."""
    server = await asyncpg.connect(ground.superuser_dsn("qc_intelligence"), command_timeout=_LIMIT_S)
    try:
        await _empty(server)
        began = time.perf_counter()
        await _send(ground, "nts", file, rows)
        took, ended = time.perf_counter() - began, datetime.now(UTC)
        # The instant that a file is finished at is that of the transaction that does what needs all rows.
        finished_at: datetime = await server.fetchval("select max(finished_at) from import_files")
        return took, (ended - finished_at).total_seconds()
    finally:
        await server.close()


async def _registered(ground: Ground, file: Path, rows: int) -> float:
    """Seconds of an import whose providers are all in the register: every row has a flag that is kept."""
    with file.open(encoding="utf-8", newline="") as opened:
        codes = dict.fromkeys(row["provider"] for row in csv.DictReader(opened))
    register = file.with_name("providers.csv")
    with register.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(_PROVIDER_HEADER)
        writer.writerows((code, f"{code} (made up)", "hospital_trust", "", "", "", "", "made up") for code in codes)
    await _send(ground, "providers", register, len(codes))
    took, _ = await _import(ground, file, rows)
    server = await asyncpg.connect(ground.superuser_dsn("qc_intelligence"), command_timeout=_LIMIT_S)
    try:
        if (kept := await server.fetchval("select count(*) from flags")) != rows:
            raise TimeoutError(f"the import kept {kept} flags instead of {rows}")
    finally:
        await server.close()
    return took


async def _send(ground: Ground, source: str, file: Path, rows: int) -> None:
    """Have the service take a file in. Raises TimeoutError if it did not take all of it."""
    token = issue(
        secret=ground.stack.secrets.jwt,
        subject="benchmark-1",
        roles=[Role.QUALITY_OFFICER],
        office="east-midlands",
        now=datetime.now(UTC),
        valid_for=timedelta(hours=1),
    )
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=ground.stack.urls["intelligence"], timeout=_LIMIT_S) as client:
        answer = await client.post(f"/imports/{source}", content=_blocks(file), headers=headers)
    if answer.status_code != httpx.codes.OK or answer.json()["added"] != rows:
        raise TimeoutError(f"the service answered {answer.status_code} to a file of {rows} rows: {answer.text[:500]}")


async def _blocks(file: Path) -> AsyncGenerator[bytes]:
    with file.open("rb") as opened:
        while block := opened.read(1 << 18):
            yield block


async def _empty(server: asyncpg.Connection[asyncpg.Record]) -> None:
    """Begin with empty tables, as the other side does."""
    tables = await server.fetchval(
        "select string_agg(quote_ident(tablename), ', ') from pg_tables where schemaname = 'public' "
        "and (tablename like 'survey%' or tablename like 'flag%' or tablename like 'import%')"
    )
    await server.execute(f"truncate {tables} cascade")
    await server.execute("checkpoint")


async def _bare(ground: Ground, file: Path) -> tuple[float, float, float]:
    """Seconds of COPY, of the aggregation by group, and of drawing the flags."""
    async with ground.database("intelligence") as dsn:
        connection = await connect(dsn, name="benchmark")
        try:
            await connection.execute(_BARE)
            await connection.execute("checkpoint")
            began = time.perf_counter()
            await connection.copy_to_table("bare", source=file, format="csv", header=True, timeout=_LIMIT_S)
            copied = time.perf_counter()
            await connection.fetch(_GROUPS, timeout=_LIMIT_S)
            grouped = time.perf_counter()
            await connection.execute(_AS_STORED, timeout=_LIMIT_S)
            await connection.execute("analyze", timeout=_LIMIT_S)
            await connection.execute("checkpoint")
            file_id = await connection.fetchval("select max(id) from import_files")
            stored = time.perf_counter()
            async with connection.transaction():
                await flag_file(UnitOfWork(connection, "/east-midlands/intelligence", datetime.now(UTC)), file_id)
            flagged = time.perf_counter()
        finally:
            await connection.close()
    return copied - began, grouped - copied, flagged - stored


def _rounded(seconds: Sequence[float]) -> list[float]:
    return [round(one, 2) for one in seconds]
