"""Files that were taken in: how far each was read, what came of it, and what was wrong with which row."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from shared.imports.problems import RowProblem
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file of a source."""

    id: int
    source: str
    #: What it was called; for people.
    name: str
    #: SHA-256 of its bytes, and of the mapping it was read by.
    digest: bytes
    mapping: bytes
    #: Bytes.
    size: int
    began_by: str
    began_at: datetime
    #: None until it was read to its end: its rows do not count before.
    finished_at: datetime | None
    #: How often it was read; rows that were refused are tried again each time.
    passes: int
    #: Records of this pass that are done, and about how many bytes they take.
    rows_read: int
    bytes_read: int
    added: int
    updated: int
    unchanged: int
    refused: int


_COLUMNS = ", ".join(ImportFile.__dataclass_fields__)


def _file(row: asyncpg.Record) -> ImportFile:
    return ImportFile(**dict(row))


async def begin(
    connection: Connection,
    *,
    source: str,
    name: str,
    digest: bytes,
    mapping: bytes,
    size: int,
    by: str,
    at: datetime,
) -> ImportFile:
    """The file of this content, made if there is none yet."""
    await connection.execute(
        """
        insert into import_files (source, name, digest, mapping, size, began_by, began_at)
        values ($1, $2, $3, $4, $5, $6, $7) on conflict (source, digest, mapping) do nothing""",
        source,
        name,
        digest,
        mapping,
        size,
        by,
        at,
    )
    row = await connection.fetchrow(
        f"select {_COLUMNS} from import_files where source = $1 and digest = $2 and mapping = $3",  # noqa: S608 a constant
        source,
        digest,
        mapping,
    )
    assert row is not None  # who has taken the file up alone forgets it
    return _file(row)


async def forget(connection: Connection, file_id: int) -> None:
    """Forget a file of which nothing was taken, as it turned out to be none of its source."""
    await connection.execute("delete from import_files where id = $1", file_id)


async def unfinished(connection: Connection, *, begun_before: datetime, after: int, limit: int) -> list[ImportFile]:
    """Up to ``limit`` files of which something was taken and the end was not, by id, beginning after one."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from import_files
        where finished_at is null and rows_read > 0 and began_at < $1 and id > $2 order by id limit $3""",  # noqa: S608
        begun_before,
        after,
        limit,
    )
    return [_file(row) for row in rows]


async def give_up(connection: Connection, file_id: int) -> None:
    """Forget a file and what was wrong with its rows; nothing else may refer to it any more."""
    await connection.execute("delete from import_problems where file_id = $1", file_id)
    await forget(connection, file_id)


async def load(connection: Connection, file_id: int) -> ImportFile | None:
    """A file."""
    row = await connection.fetchrow(f"select {_COLUMNS} from import_files where id = $1", file_id)  # noqa: S608
    return _file(row) if row else None


async def page(
    connection: Connection, *, source: str | None, digest: bytes | None, after: int | None, limit: int
) -> list[ImportFile]:
    """Up to ``limit`` files in the order they came, beginning after one."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from import_files
        where ($1::text is null or source = $1) and ($2::bytea is null or digest = $2)
          and ($3::bigint is null or id > $3)
        order by id limit $4""",  # noqa: S608 a constant
        source,
        digest,
        after,
        limit,
    )
    return [_file(row) for row in rows]


async def save(connection: Connection, file: ImportFile, *, read_before: int, passes_before: int) -> bool:
    """Save how far a file is; False if somebody else has gone on with it meanwhile."""
    done = await connection.execute(
        """
        update import_files
        set finished_at = $2, passes = $3, rows_read = $4, bytes_read = $5, added = $6, updated = $7, unchanged = $8,
            refused = $9
        where id = $1 and rows_read = $10 and passes = $11""",
        file.id,
        file.finished_at,
        file.passes,
        file.rows_read,
        file.bytes_read,
        file.added,
        file.updated,
        file.unchanged,
        file.refused,
        read_before,
        passes_before,
    )
    return done.endswith(" 1")


async def take_up(connection: Connection, digest: bytes) -> bool:
    """Let no other session work on a file of this content until this one lets it go; False if one does already."""
    return await connection.fetchval("select pg_try_advisory_lock($1)", _lock(digest))


async def hold(connection: Connection, digest: bytes) -> bool:
    """As `take_up`, until the transaction ends."""
    return await connection.fetchval("select pg_try_advisory_xact_lock($1)", _lock(digest))


async def let_go(connection: Connection, digest: bytes) -> None:
    """Let others work on it again."""
    await connection.execute("select pg_advisory_unlock($1)", _lock(digest))


def _lock(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big", signed=True)


async def add_problems(connection: Connection, file_id: int, problems: Sequence[RowProblem]) -> None:
    """Keep what is wrong with rows."""
    if problems:
        await connection.copy_records_to_table(
            "import_problems",
            columns=("file_id", "line", "column_name", "reason"),
            records=[(file_id, p.line, p.column, p.reason) for p in problems],
        )


async def forget_problems(connection: Connection, file_id: int, lines: Collection[int]) -> None:
    """Forget what was wrong with some rows: they are tried again."""
    await connection.execute(
        "delete from import_problems where file_id = $1 and line = any($2::bigint[])", file_id, list(lines)
    )


async def refused_among(connection: Connection, file_id: int, lines: Collection[int]) -> set[int]:
    """Those of the lines that were refused."""
    rows = await connection.fetch(
        "select distinct line from import_problems where file_id = $1 and line = any($2::bigint[])",
        file_id,
        list(lines),
    )
    return {row["line"] for row in rows}


async def problems(
    connection: Connection, file_id: int, *, after: tuple[int, str, str] | None = None, limit: int
) -> list[RowProblem]:
    """Up to ``limit`` problems of a file by line, beginning after one."""
    line, column, reason = after or (-1, "", "")
    rows = await connection.fetch(
        """
        select line, column_name, reason from import_problems
        where file_id = $1 and (line, column_name, reason) > ($2, $3, $4)
        order by line, column_name, reason limit $5""",
        file_id,
        line,
        column,
        reason,
        limit,
    )
    return [RowProblem(row["line"], row["column_name"], row["reason"]) for row in rows]
