"""Organisations in the database."""

from collections.abc import Collection, Sequence

import asyncpg

from services.intelligence.domain.organisation import Organisation
from shared.persistence.pool import Connection
from shared.reference.kinds import ProviderKind

_COLUMNS = "ods_code, name, kind, parent_code, valid_from, valid_to, successor_code, source, version"


def _organisation(row: asyncpg.Record) -> Organisation:
    return Organisation(**{**dict(row), "kind": ProviderKind(row["kind"])})


async def load(connection: Connection, codes: Collection[str]) -> dict[str, Organisation]:
    """The organisations of these codes that are in the register."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from organisations where ods_code = any($1)",  # noqa: S608 a constant
        list(codes),
    )
    return {row["ods_code"]: _organisation(row) for row in rows}


async def lock_register(connection: Connection) -> None:
    """Let nobody else change the register until the transaction ends: who adds a code cannot lock its row before."""
    await connection.execute("lock table organisations in share row exclusive mode")


async def save(connection: Connection, organisations: Sequence[Organisation]) -> None:
    """Add organisations or replace what the register says of them."""
    if not organisations:
        return
    await connection.execute(
        """
        insert into organisations (ods_code, name, kind, parent_code, valid_from, valid_to, successor_code, source,
                                   version)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::date[], $7::text[],
                             $8::text[], $9::int[])
        on conflict (ods_code) do update
        set name = excluded.name, kind = excluded.kind, parent_code = excluded.parent_code,
            valid_from = excluded.valid_from, valid_to = excluded.valid_to, successor_code = excluded.successor_code,
            source = excluded.source, version = excluded.version""",
        [o.ods_code for o in organisations],
        [o.name for o in organisations],
        [o.kind.value for o in organisations],
        [o.parent_code for o in organisations],
        [o.valid_from for o in organisations],
        [o.valid_to for o in organisations],
        [o.successor_code for o in organisations],
        [o.source for o in organisations],
        [o.version for o in organisations],
    )


async def page(
    connection: Connection, *, kind: ProviderKind | None, parent: str | None, after: str | None, limit: int
) -> list[Organisation]:
    """Up to ``limit`` organisations by code, beginning after one."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from organisations
        where ($1::text is null or kind = $1) and ($2::text is null or parent_code = $2)
          and ($3::text is null or ods_code > $3)
        order by ods_code limit $4""",  # noqa: S608 a constant
        kind.value if kind else None,
        parent,
        after,
        limit,
    )
    return [_organisation(row) for row in rows]
