"""What refers to a provider or a concern finds it there, although nothing locks it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.visits.domain.concern import Concern, Provider
from services.visits.domain.requirement import Requirement, requirement_id
from services.visits.store import concerns, requirements
from shared.contracts.fields import Category, VisitKind
from shared.persistence.pool import Connection
from shared.reference.kinds import ProviderKind
from tests.integration.visits.visits_world import FENBROOK, World

KNOWN = Provider(FENBROOK.ods_code, FENBROOK.name, FENBROOK.kind)
REFUSED = asyncpg.ForeignKeyViolationError


def concern(code: str = KNOWN.ods_code) -> Concern:
    return Concern(id=uuid4(), reference="C-2026-0000001", provider_code=code, programme="General surgery")


def requirement(of: UUID, code: str = KNOWN.ods_code) -> Requirement:
    return Requirement(
        id=requirement_id(of, 1),
        concern_id=of,
        number=1,
        provider_code=code,
        category=Category.MAJOR,
        kind=VisitKind.TRIGGERED_VISIT,
        latest_date=date(2026, 4, 30),
        policy_version="visit-policy-1",
    )


@pytest.mark.parametrize("count", [1, 500])
async def test_a_concern_names_a_provider_that_is_there(world: World, count: int) -> None:
    async with world.service.pool.acquire() as connection:
        new = [concern() for _ in range(count - 1)] + [concern("NOBODY")]
        with pytest.raises(REFUSED, match="a row of concerns refers to provider NOBODY"):
            await concerns.save(connection, new, [KNOWN], new=[one.id for one in new])
        assert await connection.fetchval("select count(*) from concerns") == 0
        # A provider that comes in the same statement is there.
        await concerns.save(connection, new, [KNOWN, replace(KNOWN, ods_code="NOBODY")], new=[one.id for one in new])
        assert await connection.fetchval("select count(*) from concerns") == count
        with pytest.raises(REFUSED, match="provider NOWHERE"):
            await concerns.save(connection, [replace(new[0], provider_code="NOWHERE")])


async def test_a_requirement_belongs_to_a_concern_and_a_provider_that_are_there(world: World) -> None:
    async with world.service.pool.acquire() as connection:
        one = concern()
        await concerns.save(connection, [one], [KNOWN], new=[one.id])
        with pytest.raises(REFUSED, match=f"a row of requirements refers to concern {(other := uuid4())}"):
            await requirements.save(connection, [requirement(one.id), requirement(other)])
        with pytest.raises(REFUSED, match="a row of requirements refers to provider NOBODY"):
            await requirements.save(connection, [requirement(one.id, "NOBODY")])
        await requirements.save(connection, [requirement(one.id)])
        with pytest.raises(REFUSED, match="a row of requirements refers to concern"):
            await connection.execute("update requirements set concern_id = gen_random_uuid()")
        with pytest.raises(REFUSED, match="a row of requirements refers to provider"):
            await connection.execute("update requirements set provider_code = 'NOBODY'")


@pytest.mark.parametrize(
    "statement",
    [
        "delete from providers",
        "update providers set ods_code = 'OTHER'",
        "truncate providers cascade",
        "delete from concerns",
        "update concerns set id = gen_random_uuid()",
        "truncate concerns cascade",
    ],
)
async def test_what_is_referred_to_stays(world: World, statement: str) -> None:
    await world.raised()
    with pytest.raises(REFUSED, match="stays and keeps its key"):
        await world.service.pool.execute(statement)


async def many(connection: Connection) -> None:
    new = [concern() for _ in range(500)]
    await concerns.save(connection, new, [KNOWN], new=[one.id for one in new])


async def one(connection: Connection) -> None:
    new = concern()
    await concerns.save(connection, [new], [KNOWN], new=[new.id])
    await requirements.save(connection, [requirement(new.id)])


@pytest.mark.parametrize("save", [one, many])
async def test_a_provider_that_is_known_as_it_is_named_is_not_locked(
    world: World, save: Callable[[Connection], Awaitable[None]]
) -> None:
    await world.raised()
    pool = world.service.pool
    async with pool.acquire() as other, other.transaction(), pool.acquire() as connection:
        await other.execute("select from providers where ods_code = $1 for update", KNOWN.ods_code)
        async with connection.transaction():
            await connection.execute("set local lock_timeout = '2s'")
            await save(connection)


async def test_a_provider_that_is_named_anew_is_kept_under_its_new_name(world: World) -> None:
    await world.raised()
    async with world.service.pool.acquire() as connection:
        for new in (
            replace(KNOWN, name="Fenbrook (made up)"),
            replace(KNOWN, kind=next(kind for kind in ProviderKind if kind is not KNOWN.kind)),
        ):
            await concerns.save(connection, [], [new])
            assert await concerns.provider(connection, KNOWN.ods_code) == new
