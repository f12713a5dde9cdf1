"""Registers, exit conditions and suspensions of training of concerns in the database."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import asyncpg

from services.intelligence.domain.following_up import Restoration
from services.intelligence.domain.life import Life
from services.intelligence.domain.standing import CheckState, ExitCondition, Standing, Suspension
from shared.contracts.concerns import ExitConditionOwner, ExitConditionState, Register, RegisterState
from shared.contracts.training import RestorationReason, SuspensionReason
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What stands beside a concern's own row: registers, exit conditions, and a suspension that has not ended."""

    standings: tuple[Standing, ...] = Life().standings
    conditions: tuple[ExitCondition, ...] = ()
    suspension: Suspension | None = None


@dataclass(frozen=True, slots=True)
class PastSuspension:
    """A suspension of training, with its end if it has ended."""

    id: UUID
    reason: SuspensionReason
    suspended_on: date
    restored_on: date | None
    restoration_reason: RestorationReason | None


@dataclass(frozen=True, slots=True)
class ListedCondition:
    """An exit condition and the concern it is of."""

    condition: ExitCondition
    concern_id: UUID
    reference: str
    provider_code: str


async def follow_ups(connection: Connection, concern_ids: Collection[UUID]) -> dict[UUID, FollowUp]:
    """What stands beside each of these concerns, in one statement for each table."""
    ids = list(concern_ids)
    standings: dict[UUID, dict[Register, Standing]] = defaultdict(dict)
    for row in await connection.fetch("select * from concern_registers where concern_id = any($1)", ids):
        standing = _standing(row)
        standings[row["concern_id"]][standing.register] = standing
    conditions: dict[UUID, list[ExitCondition]] = defaultdict(list)
    for row in await connection.fetch("select * from exit_conditions where concern_id = any($1) order by id", ids):
        conditions[row["concern_id"]].append(_condition(row))
    suspensions = {
        row["concern_id"]: Suspension(row["id"], SuspensionReason(row["reason"]), row["suspended_on"])
        for row in await connection.fetch(
            "select * from training_suspensions where concern_id = any($1) and restored_on is null", ids
        )
    }
    return {
        one: FollowUp(
            tuple(standings[one].get(register, Standing(register)) for register in Register),
            tuple(conditions[one]),
            suspensions.get(one),
        )
        for one in ids
    }


async def save(connection: Connection, concern_id: UUID, before: Life, after: Life) -> None:
    """Save what a command changed of registers, conditions and a suspension that began.

    The concern's row must be locked by this transaction. The end of a suspension is saved by ``end_suspension``.
    """
    changed = [one for one, was in zip(after.standings, before.standings, strict=True) if one != was]
    await _save_standings(connection, concern_id, changed)
    known = {one.id: one for one in before.conditions}
    await _save_conditions(connection, concern_id, [one for one in after.conditions if known.get(one.id) != one])
    if before.suspension is None and after.suspension is not None:
        await connection.execute(
            "insert into training_suspensions (id, concern_id, reason, suspended_on) values ($1, $2, $3, $4)",
            after.suspension.id,
            concern_id,
            after.suspension.reason.value,
            after.suspension.suspended_on,
        )


async def end_suspension(connection: Connection, restoration: Restoration) -> None:
    """Save the end of a suspension."""
    await connection.execute(
        "update training_suspensions set restored_on = $2, restoration_reason = $3 where id = $1",
        restoration.suspension.id,
        restoration.restored_on,
        restoration.reason.value,
    )


async def suspensions_of(connection: Connection, concern_id: UUID) -> list[PastSuspension]:
    """All suspensions of a concern, oldest first."""
    rows = await connection.fetch(
        "select * from training_suspensions where concern_id = $1 order by suspended_on, id", concern_id
    )
    return [
        PastSuspension(
            row["id"],
            SuspensionReason(row["reason"]),
            row["suspended_on"],
            row["restored_on"],
            RestorationReason(row["restoration_reason"]) if row["restoration_reason"] else None,
        )
        for row in rows
    ]


async def due(connection: Connection, today: date, limit: int) -> list[UUID]:
    """Up to ``limit`` concerns of which an exit condition's or an effectiveness check's day has passed."""
    rows = await connection.fetch(
        """
        select concern_id from exit_conditions where state = 'open' and due_on < $1
        union
        select concern_id from concern_registers where check_state = 'due' and check_due_on < $1
        order by concern_id limit $2""",
        today,
        limit,
    )
    return [row["concern_id"] for row in rows]


async def page(
    connection: Connection,
    *,
    register: Register | None,
    owner: ExitConditionOwner | None,
    state: ExitConditionState | None,
    provider: str | None,
    due_before: date | None,
    after: UUID | None,
    limit: int,
) -> list[ListedCondition]:
    """Up to ``limit`` exit conditions in the order they were set, beginning after one."""
    rows = await connection.fetch(
        """
        select e.*, c.reference, c.provider_code from exit_conditions e join concerns c on c.id = e.concern_id
        where ($1::text is null or e.register = $1) and ($2::text is null or e.owner = $2)
          and ($3::text is null or e.state = $3) and ($4::text is null or c.provider_code = $4)
          and ($5::date is null or e.due_on < $5) and ($6::uuid is null or e.id > $6)
        order by e.id limit $7""",
        register.value if register else None,
        owner.value if owner else None,
        state.value if state else None,
        provider,
        due_before,
        after,
        limit,
    )
    return [ListedCondition(_condition(row), row["concern_id"], row["reference"], row["provider_code"]) for row in rows]


async def _save_standings(connection: Connection, concern_id: UUID, standings: Collection[Standing]) -> None:
    for one in standings:
        await connection.execute(
            """
            insert into concern_registers (concern_id, register, state, since, check_state, check_due_on, checked_on)
            values ($1, $2, $3, $4, $5, $6, $7)
            on conflict (concern_id, register) do update
            set state = excluded.state, since = excluded.since, check_state = excluded.check_state,
                check_due_on = excluded.check_due_on, checked_on = excluded.checked_on""",
            concern_id,
            one.register.value,
            one.state.value,
            one.since,
            one.check.value,
            one.check_due_on,
            one.checked_on,
        )


async def _save_conditions(connection: Connection, concern_id: UUID, conditions: Collection[ExitCondition]) -> None:
    for one in conditions:
        await connection.execute(
            """
            insert into exit_conditions (id, concern_id, register, wording, owner, set_on, due_on, state, settled_on)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            on conflict (id) do update set state = excluded.state, settled_on = excluded.settled_on""",
            one.id,
            concern_id,
            one.register.value,
            one.wording,
            one.owner.value,
            one.set_on,
            one.due_on,
            one.state.value,
            one.settled_on,
        )


def _standing(row: asyncpg.Record) -> Standing:
    return Standing(
        register=Register(row["register"]),
        state=RegisterState(row["state"]),
        since=row["since"],
        check=CheckState(row["check_state"]),
        check_due_on=row["check_due_on"],
        checked_on=row["checked_on"],
    )


def _condition(row: asyncpg.Record) -> ExitCondition:
    return ExitCondition(
        id=row["id"],
        register=Register(row["register"]),
        wording=row["wording"],
        owner=ExitConditionOwner(row["owner"]),
        set_on=row["set_on"],
        due_on=row["due_on"],
        state=ExitConditionState(row["state"]),
        settled_on=row["settled_on"],
    )
