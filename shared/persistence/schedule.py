"""When scheduled jobs are due, in every service's own database."""

from collections.abc import Collection
from datetime import datetime

from shared.persistence.pool import Connection


async def know(connection: Connection, names: Collection[str], now: datetime) -> None:
    """Note jobs that were never heard of: they are due at once. Those of older versions stay and are not run."""
    await connection.execute(
        """
        insert into scheduled_jobs (name, due_at) select name, $2 from unnest($1::text[]) as name
        on conflict do nothing""",
        list(names),
        now,
    )


async def due(connection: Connection, names: Collection[str], now: datetime) -> list[str]:
    """Those of these jobs that are due, the longest due first."""
    rows = await connection.fetch(
        "select name from scheduled_jobs where name = any($1) and due_at <= $2 order by due_at, name", list(names), now
    )
    return [row["name"] for row in rows]


async def claim(connection: Connection, name: str, now: datetime) -> bool:
    """Lock a job's row until the transaction ends; False if another process runs it, or has just run it."""
    found = await connection.fetchval(
        "select true from scheduled_jobs where name = $1 and due_at <= $2 for update skip locked", name, now
    )
    return bool(found)


async def succeeded(connection: Connection, name: str, now: datetime, next_at: datetime) -> None:
    """Note a run. It commits with what the job did, or neither does."""
    await connection.execute(
        "update scheduled_jobs set due_at = $3, last_run_at = $2, runs = runs + 1 where name = $1", name, now, next_at
    )


async def put_off(connection: Connection, name: str, now: datetime, next_at: datetime) -> None:
    """Let a job that failed wait; one that another process has run meanwhile stays as it is."""
    await connection.execute(
        "update scheduled_jobs set due_at = $3 where name = $1 and due_at <= $2", name, now, next_at
    )
