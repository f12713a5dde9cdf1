"""What operators did to delivery by hand: who, what and why, kept in the transaction that does it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, and why. Neither holds personal data beyond the staff id."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One thing an operator did."""

    at: datetime
    actor: str
    reason: str
    action: str
    target: str
    detail: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


async def record(
    connection: Connection, operator: Operator, action: str, target: str, detail: Mapping[str, Any] | None = None
) -> None:
    """Keep an action. Call it in the transaction of what it tells of."""
    await connection.execute(
        "insert into operator_actions (actor, reason, action, target, detail) values ($1, $2, $3, $4, $5)",
        operator.actor,
        operator.reason,
        action,
        target,
        dict(detail or {}),
    )


async def of_target(connection: Connection, target: str) -> Sequence[OperatorAction]:
    """What was done to one target, oldest first."""
    rows = await connection.fetch(
        "select at, actor, reason, action, target, detail from operator_actions where target = $1 order by id", target
    )
    return [OperatorAction(**dict(row)) for row in rows]
