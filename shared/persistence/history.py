"""The history of changes: who, when, what and why, in every service's own database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Change:
    """One change of state of one aggregate."""

    aggregate: str
    aggregate_id: str
    #: Version of the aggregate after the change; unique per aggregate.
    version: int
    at: datetime
    #: A staff member's opaque id, or ``event:<id>`` for a reaction to an event.
    actor: str
    #: What happened, in the past tense, such as ``rated``.
    change: str
    reason: str | None = None
    detail: dict[str, Any] = field(default_factory=dict[str, Any])


async def record(connection: Connection, changes: Sequence[Change]) -> None:
    """Add changes, in one statement. Two changes of one aggregate to the same version are refused."""
    if not changes:
        return
    await connection.execute(
        """
        insert into history (aggregate, aggregate_id, version, at, actor, change, reason, detail)
        select * from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::text[], $6::text[],
                             $7::text[], $8::jsonb[])""",
        [c.aggregate for c in changes],
        [c.aggregate_id for c in changes],
        [c.version for c in changes],
        [c.at for c in changes],
        [c.actor for c in changes],
        [c.change for c in changes],
        [c.reason for c in changes],
        [c.detail for c in changes],
    )


async def of(connection: Connection, aggregate: str, aggregate_id: str) -> list[Change]:
    """All changes of one aggregate, oldest first."""
    rows = await connection.fetch(
        """
        select aggregate, aggregate_id, version, at, actor, change, reason, detail from history
        where aggregate = $1 and aggregate_id = $2 order by version""",
        aggregate,
        aggregate_id,
    )
    return [Change(**dict(row)) for row in rows]
