"""The pool of people who may sit on panels, and their declared conflicts of interest."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.visits.domain.panel import PoolMember
from shared.contracts.fields import PanelRole
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Declaration:
    """A declared conflict of interest that stands."""

    id: UUID
    provider_code: str
    note: str | None
    declared_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """A person of the pool."""

    id: UUID
    name: str
    organisation: str
    roles: tuple[PanelRole, ...]
    active: bool
    created_at: datetime
    conflicts: tuple[Declaration, ...] = ()
    version: int = 1

    @property
    def member(self) -> PoolMember:
        """What the rules need to know of them."""
        return PoolMember(
            self.id, self.active, frozenset(self.roles), frozenset(c.provider_code for c in self.conflicts)
        )


async def add(connection: Connection, person: Person) -> None:
    """Add a person."""
    await connection.execute(
        """
        insert into people (id, name, organisation, roles, active, created_at, version)
        values ($1, $2, $3, $4, $5, $6, $7)""",
        person.id,
        person.name,
        person.organisation,
        list(person.roles),
        person.active,
        person.created_at,
        person.version,
    )


async def save(connection: Connection, person: Person) -> None:
    """Keep a person's present state, conflicts apart."""
    await connection.execute(
        "update people set name = $2, organisation = $3, roles = $4, active = $5, version = $6 where id = $1",
        person.id,
        person.name,
        person.organisation,
        list(person.roles),
        person.active,
        person.version,
    )


async def declare(connection: Connection, person_id: UUID, declaration: Declaration) -> None:
    """Add a declaration to a person who has none about this organisation."""
    await connection.execute(
        """
        insert into conflicts_of_interest (id, person_id, provider_code, note, declared_at)
        values ($1, $2, $3, $4, $5)""",
        declaration.id,
        person_id,
        declaration.provider_code,
        declaration.note,
        declaration.declared_at,
    )


async def withdraw(connection: Connection, declaration_id: UUID, at: datetime) -> None:
    """Withdraw a declaration; it is kept, with the instant of its withdrawal."""
    await connection.execute("update conflicts_of_interest set withdrawn_at = $2 where id = $1", declaration_id, at)


async def lock(connection: Connection, person_id: UUID) -> Person | None:
    """One person, locked for a change until the transaction ends, or None."""
    rows = await connection.fetch("select * from people where id = $1 for update", person_id)
    return next(iter((await _with_conflicts(connection, rows)).values()), None)


async def hold(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Person]:
    """People by id; until the transaction ends nobody can change them or what they have declared."""
    rows = await connection.fetch("select * from people where id = any($1) order by id for share", list(ids))
    return await _with_conflicts(connection, rows)


async def load(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Person]:
    """People by id, for reading."""
    return await _with_conflicts(connection, await connection.fetch("select * from people where id = any($1)", ids))


async def page(
    connection: Connection, *, role: PanelRole | None, active: bool | None, after: UUID | None, limit: int
) -> list[Person]:
    """People in the order in which they were added."""
    rows = await connection.fetch(
        """
        select * from people
        where ($1::text is null or $1 = any(roles)) and ($2::bool is null or active = $2)
              and ($3::uuid is null or id > $3)
        order by id limit $4""",
        role,
        active,
        after,
        limit,
    )
    return list((await _with_conflicts(connection, rows)).values())


async def _with_conflicts(connection: Connection, rows: list[asyncpg.Record]) -> dict[UUID, Person]:
    # Read after the people are locked: what was declared while this transaction waited counts.
    declared = await connection.fetch(
        """
        select id, person_id, provider_code, note, declared_at from conflicts_of_interest
        where person_id = any($1) and withdrawn_at is null order by declared_at, id""",
        [row["id"] for row in rows],
    )
    return {
        row["id"]: Person(
            id=row["id"],
            name=row["name"],
            organisation=row["organisation"],
            roles=tuple(PanelRole(role) for role in row["roles"]),
            active=row["active"],
            created_at=row["created_at"],
            conflicts=tuple(
                Declaration(one["id"], one["provider_code"], one["note"], one["declared_at"])
                for one in declared
                if one["person_id"] == row["id"]
            ),
            version=row["version"],
        )
        for row in rows
    }
