"""Rows of survey exports in the database: how they come in, and how one of them is all there is of a result.

There is no unique index (see the migration), so what one would see to is done when a file is finished, for all its
rows at once and under a lock.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.persistence.pool import Connection

#: Any number, but the same in every process: files of one kind are finished one after the other.
_LOCK = 6_112_101

#: Seconds that a statement about all rows of a file may take.
_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class SurveyTable:
    """A table of survey rows: by which columns a row is known, and what it says."""

    name: str
    keys: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def hashed(self) -> str:
        """One number for the key of a row, as SQL."""
        texts = [key for key in self.keys if key != "year"]
        expression = "year::bigint"
        for key in texts:
            expression = f"hashtextextended({key}, {expression})"
        return expression

    def same_key(self, one: str, other: str) -> str:
        """That two rows have the same key, as SQL."""
        return " and ".join(f"{one}.{key} = {other}.{key}" for key in self.keys)

    def row(self, alias: str) -> str:
        """What a row says, as SQL."""
        return f"({', '.join(f'{alias}.{value}' for value in self.values)})"


RESULTS = SurveyTable(
    "survey_result_rows",
    ("report_type", "provider_code", "site_code", "specialty", "indicator", "year"),
    ("mean", "sd", "n"),
)
RESPONSES = SurveyTable(
    "survey_response_rows",
    ("report_type", "provider_code", "site_code", "profession", "theme", "question", "year", "answer"),
    ("respondents",),
)


async def copy_in(
    connection: Connection, table: SurveyTable, columns: Collection[str], rows: AsyncIterable[bytes]
) -> None:
    """Put rows in, in COPY's text format: file, line and then these columns."""
    await connection.copy_to_table(
        table.name, source=rows, columns=["file_id", "line", *columns], format="text", timeout=_TIMEOUT_S
    )


async def add_years(connection: Connection, file_id: int, years: Collection[tuple[str, int]]) -> None:
    """Note which years of which report a file holds."""
    await connection.execute(
        """
        insert into survey_file_years (file_id, report_type, year)
        select $1, report_type, year from unnest($2::text[], $3::int[]) as held (report_type, year)
        on conflict do nothing""",
        file_id,
        [report for report, _ in years],
        [year for _, year in years],
    )


@asynccontextmanager
async def alone(connection: Connection) -> AsyncGenerator[None]:
    """Let no other file be finished until the transaction ends, and have statements about whole files planned so."""
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK, timeout=_TIMEOUT_S)
    await connection.execute("set local work_mem = '96MB'")
    # The planner cannot know how many rows a new file has; taken for few, they would be looked up one by one.
    await connection.execute("set local enable_nestloop = off")
    yield
    await connection.execute("set local enable_nestloop = on")
    await connection.execute("set local work_mem to default")


async def leave_out_repeated(connection: Connection, table: SurveyTable, file_id: int) -> list[tuple[int, int]]:
    """Take out rows that have the key of an earlier one of the same file; each with the line of that one."""
    repeated = await connection.fetch(
        f"""
        select key from (select {table.hashed} as key from {table.name} where file_id = $1) as keys
        group by key having count(*) > 1""",  # noqa: S608 constants of this module
        file_id,
        timeout=_TIMEOUT_S,
    )
    if not repeated:
        return []
    rows = await connection.fetch(
        f"""
        with numbered as (
            select line, first_value(line) over same as first
            from {table.name} where file_id = $1 and {table.hashed} = any($2::bigint[])
            window same as (partition by {", ".join(table.keys)} order by line)
        )
        delete from {table.name} r using numbered n
        where r.file_id = $1 and r.line = n.line and n.line > n.first
        returning n.line, n.first""",  # noqa: S608 constants of this module
        file_id,
        [row["key"] for row in repeated],
        timeout=_TIMEOUT_S,
    )
    return sorted((row["line"], row["first"]) for row in rows)


async def has_rivals(connection: Connection, file_id: int) -> bool:
    """Whether a finished file of the same report holds one of the same years."""
    return await connection.fetchval(
        """
        select exists (
            select from survey_file_years mine
            join survey_file_years other on other.report_type = mine.report_type and other.year = mine.year
                and other.file_id <> mine.file_id
            join import_files f on f.id = other.file_id and f.finished_at is not null
            where mine.file_id = $1)""",
        file_id,
    )


async def leave_out_known(connection: Connection, table: SurveyTable, file_id: int) -> int:
    """Take out rows that say what a finished file says already; returns how many."""
    done = await connection.execute(
        f"""
        delete from {table.name} mine
        using {table.name} old join import_files f on f.id = old.file_id and f.finished_at is not null
        where mine.file_id = $1 and old.file_id <> $1 and old.replaced_by_file is null
          and old.year in (select year from survey_file_years where file_id = $1)
          and {table.same_key("mine", "old")} and {table.row("mine")} is not distinct from {table.row("old")}""",  # noqa: S608
        file_id,
        timeout=_TIMEOUT_S,
    )
    return int(done.split()[-1])


async def correct(connection: Connection, table: SurveyTable, file_id: int) -> int:
    """Let rows of finished files be replaced by those of this file that have the same key; returns how many were."""
    done = await connection.execute(
        f"""
        update {table.name} old set replaced_by_file = $1, replaced_by_line = mine.line
        from {table.name} mine
        where mine.file_id = $1 and old.file_id <> $1 and old.replaced_by_file is null
          and old.file_id in (select id from import_files where finished_at is not null)
          and old.year in (select year from survey_file_years where file_id = $1)
          and {table.same_key("mine", "old")}""",  # noqa: S608 constants of this module
        file_id,
        timeout=_TIMEOUT_S,
    )
    return int(done.split()[-1])


async def is_survey(connection: Connection, file_id: int) -> bool:
    """Whether a file holds rows of a survey: those of other sources hold one by one, also of a file that never ends."""
    return await connection.fetchval(
        "select exists (select from survey_file_years where file_id = $1)", file_id, timeout=_TIMEOUT_S
    )


async def remove(connection: Connection, file_id: int) -> None:
    """Take out the rows of a file that was never finished: nothing rests on them."""
    for table in (RESULTS, RESPONSES):
        await connection.execute(
            f"delete from {table.name} where file_id = $1",  # noqa: S608 a constant
            file_id,
            timeout=_TIMEOUT_S,
        )
    await connection.execute("delete from survey_file_years where file_id = $1", file_id)


async def analyze(connection: Connection, table: SurveyTable) -> None:
    """Let the planner know the table as it is now: a million new rows are not what it knew."""
    # How many groups there are shows in some thousand rows; the server looks closer by itself in its own time.
    await connection.execute("set local default_statistics_target = 25")
    await connection.execute(f"analyze {table.name}", timeout=_TIMEOUT_S)
    await connection.execute("set local default_statistics_target to default")
