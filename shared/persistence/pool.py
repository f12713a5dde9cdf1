"""A service's connections to its own database."""

import json
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

#: Seconds after which a statement is given up. Far above any statement of ours; a guard against a hung server.
STATEMENT_TIMEOUT_S = 30

# A process that froze, or whose machine is gone, must not keep its locks: a relay's, or a partition's row.
_LET_GO = {
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


async def open_pool(dsn: str, *, name: str, max_size: int = 12) -> Pool:
    """Open a pool whose connections read and write ``jsonb`` as Python objects.

    ``name`` is shown in ``pg_stat_activity``. Raises OSError or asyncpg.PostgresError if the server cannot be
    reached or refuses the log-in.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=max_size,
        init=prepare,
        reset=_leave_as_it_is,
        command_timeout=STATEMENT_TIMEOUT_S,
        server_settings={"application_name": name, "timezone": "UTC", **_LET_GO},
    )


async def connect(dsn: str, *, name: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Open one connection outside any pool, for locks that live as long as the connection."""
    connection = await asyncpg.connect(
        dsn,
        command_timeout=STATEMENT_TIMEOUT_S,
        server_settings={"application_name": name, "timezone": "UTC", **_LET_GO},
    )
    await prepare(connection)
    return connection


async def prepare(connection: Connection) -> None:
    """Read and write ``json`` and ``jsonb`` as Python objects on this connection."""
    for type_name in ("json", "jsonb"):
        await connection.set_type_codec(type_name, schema="pg_catalog", encoder=_encode, decoder=json.loads)


async def _leave_as_it_is(_connection: Connection) -> None:
    """Instead of a round trip to the server after each use: nobody here changes a session beyond a transaction."""


def _encode(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
