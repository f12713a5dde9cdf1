"""The identity of whoever raised a concern, kept apart from it; every look is logged."""

from datetime import datetime
from uuid import UUID

from shared.persistence.pool import Connection


async def add(connection: Connection, concern_id: UUID, name: str, contact: str) -> None:
    """Keep who raised a concern."""
    await connection.execute(
        "insert into reporters (concern_id, name, contact) values ($1, $2, $3)", concern_id, name, contact
    )


async def read(connection: Connection, concern_id: UUID) -> tuple[str, str] | None:
    """Name and contact of who raised a concern, or None if nobody gave them or they were erased."""
    row = await connection.fetchrow("select name, contact from reporters where concern_id = $1", concern_id)
    return (row["name"], row["contact"]) if row else None


async def erase(connection: Connection, concern_id: UUID) -> bool:
    """Forget who raised a concern; False if there was nothing to forget."""
    deleted = await connection.execute("delete from reporters where concern_id = $1", concern_id)
    return deleted.endswith("1")


async def log_access(
    connection: Connection, concern_id: UUID, *, at: datetime, actor: str, action: str, reason: str
) -> None:
    """Log a look or an erasure: who, when, why. ``action`` is ``read`` or ``erased``."""
    await connection.execute(
        "insert into reporter_access (concern_id, at, actor, action, reason) values ($1, $2, $3, $4, $5)",
        concern_id,
        at,
        actor,
        action,
        reason,
    )
