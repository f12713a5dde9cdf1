"""When a transaction was committed, as the database itself recorded it.

PostgreSQL notes the instant of every commit (``track_commit_timestamp``) as it begins to write the commit to disk, and
a row names the transaction that wrote it. All databases of a stack are of one server and so of one clock. Between two
such instants lies one whole write to disk, that of the first transaction; the second one's own is left out. Only rows
that are never changed afterwards may be asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from benchmarks.ground import Ground
from benchmarks.waiting import until


async def record(ground: Ground) -> None:
    """Let the server note commits from now on; it is restarted for that, and the services are waited for."""
    connection = await asyncpg.connect(ground.superuser_dsn())
    try:
        await connection.execute("alter system set track_commit_timestamp = on")
    finally:
        await connection.close()
    await asyncio.to_thread(ground.stack.restart, "postgres")
    await ready(ground)


async def ready(ground: Ground) -> None:
    """Wait until all services do their work."""

    async def all_ready() -> bool:
        names = ground.stack.options.services
        return all([await asyncio.to_thread(ground.stack.is_ready, name) for name in names])

    await until(all_ready, look_s=0.2, limit_s=60, what="all services are ready")


async def instants(ground: Ground, service: str, query: str, *arguments: Any) -> dict[str, datetime]:
    """When the rows of a query were committed, by the text in its first column; its second is the row's ``xmin``."""
    connection = await asyncpg.connect(ground.superuser_dsn(f"qc_{service}"))
    try:
        rows: Sequence[asyncpg.Record] = await connection.fetch(
            f"select name::text, pg_xact_commit_timestamp(writer) as at from ({query}) as q (name, writer)",  # noqa: S608
            *arguments,
        )
    finally:
        await connection.close()
    return {row["name"]: row["at"] for row in rows}


def milliseconds(begun: dict[str, datetime], ended: dict[str, datetime]) -> list[float]:
    """The time from one commit to the other, for everything that was begun. Raises KeyError if one has not ended."""
    return [(ended[name] - at).total_seconds() * 1000 for name, at in begun.items()]
