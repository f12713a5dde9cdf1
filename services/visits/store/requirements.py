"""Visit requirements in the database."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import cast
from uuid import UUID

import asyncpg

from services.visits.domain.requirement import Requirement, RequirementState
from shared.contracts.fields import Category, VisitKind
from shared.persistence.pool import Connection


async def get(connection: Connection, requirement_id: UUID) -> Requirement | None:
    """One requirement, or None."""
    row = await connection.fetchrow("select * from requirements where id = $1", requirement_id)
    return _requirement(row) if row else None


async def page(
    connection: Connection,
    *,
    state: RequirementState | None,
    provider_code: str | None,
    after: tuple[date, UUID] | None,
    limit: int,
) -> list[Requirement]:
    """Requirements by latest date, the most pressing first."""
    after_date, after_id = after or (None, None)
    rows = await connection.fetch(
        """
        select * from requirements
        where ($1::text is null or state = $1) and ($2::text is null or provider_code = $2)
              and ($3::date is null or (latest_date, id) > ($3, $4::uuid))
        order by latest_date, id limit $5""",
        state,
        provider_code,
        after_date,
        after_id,
        limit,
    )
    return [_requirement(row) for row in rows]


async def of_visit(connection: Connection, visit_id: UUID) -> list[Requirement]:
    """The requirements a visit takes up at present, or has met, in the order they were named."""
    rows = await connection.fetch(
        """
        select r.* from requirements r join visit_requirements v on v.requirement_id = r.id and v.visit_id = r.visit_id
        where r.visit_id = $1 order by v.place""",
        visit_id,
    )
    return [_requirement(row) for row in rows]


async def concerns_behind(connection: Connection, ids: Collection[UUID]) -> set[UUID]:
    """The concerns that these requirements belong to."""
    rows = await connection.fetch("select concern_id from requirements where id = any($1)", list(ids))
    return {row["concern_id"] for row in rows}


async def lock(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Requirement]:
    """Requirements by id, locked until the transaction ends. Their concerns are locked first."""
    rows = await connection.fetch("select * from requirements where id = any($1) order by id for update", list(ids))
    return {row["id"]: _requirement(row) for row in rows}


async def lock_latest(connection: Connection, concern_ids: Collection[UUID]) -> dict[UUID, Requirement]:
    """The latest requirement of each concern, by concern, locked until the transaction ends."""
    if not concern_ids:
        return {}
    rows = await connection.fetch(
        "select * from requirements where concern_id = any($1) order by id for update", list(concern_ids)
    )
    latest: dict[UUID, Requirement] = {}
    for requirement in map(_requirement, rows):
        known = latest.get(requirement.concern_id)
        if known is None or known.number < requirement.number:
            latest[requirement.concern_id] = requirement
    return latest


async def save(connection: Connection, changed: Sequence[Requirement]) -> None:
    """Keep requirements, new and known, in one statement."""
    if not changed:
        return
    ordered = sorted(changed, key=lambda requirement: requirement.id.int)
    await connection.execute(
        """
        insert into requirements (id, concern_id, number, provider_code, category, kind, latest_date, policy_version,
                                  state, called_for, visit_id, version)
        select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::int[], $6::text[], $7::date[],
                             $8::text[], $9::text[], $10::bool[], $11::uuid[], $12::int[])
        on conflict (id) do update set category = excluded.category, kind = excluded.kind,
            latest_date = excluded.latest_date, policy_version = excluded.policy_version, state = excluded.state,
            called_for = excluded.called_for, visit_id = excluded.visit_id, version = excluded.version""",
        [r.id for r in ordered],
        [r.concern_id for r in ordered],
        [r.number for r in ordered],
        [r.provider_code for r in ordered],
        [r.category for r in ordered],
        [r.kind.value for r in ordered],
        [r.latest_date for r in ordered],
        [r.policy_version for r in ordered],
        [r.state.value for r in ordered],
        [r.called_for for r in ordered],
        # asyncpg's stubs do not allow for a null in an array; PostgreSQL and asyncpg do.
        cast("list[UUID]", [r.visit_id for r in ordered]),
        [r.version for r in ordered],
    )


async def every(connection: Connection) -> list[Requirement]:
    """All requirements there are, each concern's by number."""
    rows = await connection.fetch("select * from requirements order by concern_id, number")
    return [_requirement(row) for row in rows]


async def count_open(connection: Connection, today: date) -> tuple[int, int]:
    """How many are open, and how many of these are overdue on a day."""
    row = await connection.fetchrow(
        """
        select count(*) as open, count(*) filter (where latest_date < $1) as overdue
        from requirements where state = 'open'""",
        today,
    )
    assert row is not None  # an aggregate always has a row
    return row["open"], row["overdue"]


def _requirement(row: asyncpg.Record) -> Requirement:
    return Requirement(
        id=row["id"],
        concern_id=row["concern_id"],
        number=row["number"],
        provider_code=row["provider_code"],
        category=Category(row["category"]),
        kind=VisitKind(row["kind"]),
        latest_date=row["latest_date"],
        policy_version=row["policy_version"],
        state=RequirementState(row["state"]),
        called_for=row["called_for"],
        visit_id=row["visit_id"],
        version=row["version"],
    )
