"""Numbered SQL files, each applied once, in order, in a transaction of its own.

Several processes may start at once: an advisory lock is taken first, so each file is applied by one of them.
A file that was applied is never edited: its checksum is compared at every start.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from shared.persistence.pool import Connection

#: Any number, but the same in every process: serialises migration of one database.
_LOCK = 6_112_026

#: Longest a migration, or waiting for another process's, may take, in seconds. A statement's usual limit is for
#: requests; a large table's new index takes as long as it takes.
_TIMEOUT_S = 3600

_FILE = re.compile(r"(?P<version>\d{4})_[a-z0-9_]+\.sql")


class MigrationError(RuntimeError):
    """A folder of migrations cannot be applied. The message names the file and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its place in the order, its name and its SQL."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read(folder: Path) -> list[Migration]:
    """The migrations of a folder, in order. Raises MigrationError for a bad name or a gap in the numbers."""
    migrations: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: name it NNNN_what_it_does.sql, in lower case")
        migrations.append(Migration(int(match["version"]), path.name, path.read_text(encoding="utf-8")))
    if [m.version for m in migrations] != list(range(1, len(migrations) + 1)):
        raise MigrationError(f"{folder}: numbers must run 0001, 0002, … without a gap or a double")
    return migrations


async def migrate(connection: Connection, scope: str, folder: Path) -> list[str]:
    """Apply what ``scope`` still lacks from ``folder``; returns the names of the files applied now.

    Raises MigrationError if an applied file was edited or is gone.
    """
    wanted = read(folder)
    await connection.execute("select pg_advisory_lock($1)", _LOCK, timeout=_TIMEOUT_S)
    try:
        await connection.execute(
            """
            create table if not exists schema_migrations (
                scope text not null, version int not null, name text not null, checksum text not null,
                applied_at timestamptz not null default now(),
                primary key (scope, version)
            )"""
        )
        rows = await connection.fetch(
            "select version, name, checksum from schema_migrations where scope = $1 order by version", scope
        )
        _compare([(row["version"], row["name"], row["checksum"]) for row in rows], wanted)
        applied: list[str] = []
        for migration in wanted[len(rows) :]:
            async with connection.transaction():
                await connection.execute(migration.sql, timeout=_TIMEOUT_S)
                await connection.execute(
                    "insert into schema_migrations (scope, version, name, checksum) values ($1, $2, $3, $4)",
                    scope,
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
            applied.append(migration.name)
        return applied
    finally:
        await connection.execute("select pg_advisory_unlock($1)", _LOCK)


def _compare(applied: list[tuple[int, str, str]], wanted: list[Migration]) -> None:
    for (version, name, checksum), migration in zip(applied, wanted, strict=False):
        if (version, checksum) != (migration.version, migration.checksum):
            raise MigrationError(f"{name} was edited after it was applied: restore it and add a new file instead")
    if len(applied) > len(wanted):
        raise MigrationError(f"the database has {applied[-1][1]}, which this version does not: start the newer version")
