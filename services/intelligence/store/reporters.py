"""The identity of whoever raised a concern or sent a report, kept apart from it; every look is logged."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Raised:
    """What somebody raised: a concern, or a report, which is an item of intelligence. One of the two is given."""

    concern_id: UUID | None = None
    item_id: UUID | None = None


async def add(connection: Connection, raised: Raised, name: str, contact: str) -> None:
    """Keep who raised something."""
    await connection.execute(
        "insert into reporters (concern_id, item_id, name, contact) values ($1, $2, $3, $4)",
        raised.concern_id,
        raised.item_id,
        name,
        contact,
    )


async def read(connection: Connection, raised: Raised) -> tuple[str, str] | None:
    """Name and contact of who raised something, or None if nobody gave them or they were erased."""
    row = await connection.fetchrow(
        "select name, contact from reporters where concern_id = $1 or item_id = $2", raised.concern_id, raised.item_id
    )
    return (row["name"], row["contact"]) if row else None


async def erase(connection: Connection, raised: Raised) -> bool:
    """Forget who raised something; False if there was nothing to forget."""
    deleted = await connection.execute(
        "delete from reporters where concern_id = $1 or item_id = $2", raised.concern_id, raised.item_id
    )
    return deleted.endswith("1")


async def log_access(
    connection: Connection, raised: Raised, *, at: datetime, actor: str, action: str, reason: str
) -> None:
    """Log a look or an erasure: who, when, why. ``action`` is ``read`` or ``erased``."""
    await connection.execute(
        """
        insert into reporter_access (concern_id, item_id, at, actor, action, reason)
        values ($1, $2, $3, $4, $5, $6)""",
        raised.concern_id,
        raised.item_id,
        at,
        actor,
        action,
        reason,
    )
