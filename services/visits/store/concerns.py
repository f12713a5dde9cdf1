"""What visits knows of providers and concerns."""

from collections.abc import Collection
from typing import cast
from uuid import UUID

import asyncpg

from services.visits.domain.concern import Concern, Provider
from shared.contracts.fields import Category
from shared.persistence.failures import PassingFailure
from shared.persistence.pool import Connection
from shared.reference.kinds import ProviderKind


async def provider(connection: Connection, ods_code: str) -> Provider | None:
    """One provider, or None."""
    return (await providers(connection, [ods_code])).get(ods_code)


async def providers(connection: Connection, ods_codes: Collection[str]) -> dict[str, Provider]:
    """Providers by code."""
    rows = await connection.fetch(
        "select ods_code, name, kind from providers where ods_code = any($1)", list(ods_codes)
    )
    return {row["ods_code"]: Provider(row["ods_code"], row["name"], ProviderKind(row["kind"])) for row in rows}


async def add_provider(connection: Connection, new: Provider) -> None:
    """Keep a provider that staff named; what an event says of it comes first."""
    await connection.execute(
        "insert into providers (ods_code, name, kind) values ($1, $2, $3) on conflict do nothing",
        new.ods_code,
        new.name,
        new.kind.value,
    )


async def lock(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Concern]:
    """Concerns by id, locked until the transaction ends; those unknown are left out.

    Everyone locks visits first, then concerns, then requirements, then people.
    """
    rows = await connection.fetch("select * from concerns where id = any($1) order by id for update", list(ids))
    return {row["id"]: _concern(row) for row in rows}


async def every(connection: Connection) -> list[Concern]:
    """All concerns visits has heard of."""
    return [_concern(row) for row in await connection.fetch("select * from concerns")]


async def references(connection: Connection, ids: Collection[UUID]) -> dict[UUID, str]:
    """References of concerns by id."""
    rows = await connection.fetch("select id, reference from concerns where id = any($1)", list(ids))
    return {row["id"]: row["reference"] for row in rows}


class AddedMeanwhile(PassingFailure):
    """Somebody else added a concern since it was looked for: done again, the same work finds it."""


#: From so many new concerns on they are copied in, which costs Python and PostgreSQL half as much for each, and is a
#: statement more.
_MANY = 100


async def save(
    connection: Connection,
    changed: Collection[Concern],
    providers: Collection[Provider] = (),
    *,
    new: Collection[UUID] = (),
) -> None:
    """Keep concerns, new and known, and their providers as the latest events name them.

    ``new`` are the ids of those that ``lock`` did not find. Raises AddedMeanwhile if there are many of them and one is
    there by now.
    """
    if len(new) < _MANY:
        await _save(connection, changed, providers)
        return
    known = [concern for concern in changed if concern.id not in new] if len(new) < len(changed) else []
    await _save(connection, known, providers)
    await _add(connection, [concern for concern in changed if concern.id in new] if known else changed)


async def _add(connection: Connection, new: Collection[Concern]) -> None:
    try:
        await connection.copy_records_to_table(
            "concerns",
            columns=[
                *("id", "reference", "provider_code", "site_code"),
                *("programme", "category", "visited_category", "open"),
            ],
            records=[
                (
                    *(c.id, c.reference, c.provider_code, c.site_code),
                    *(c.programme, c.category, c.visited_category, c.open),
                )
                for c in sorted(new, key=lambda concern: concern.id.int)
            ],
        )
    except asyncpg.UniqueViolationError as error:
        raise AddedMeanwhile("a concern was added meanwhile") from error


async def _save(connection: Connection, changed: Collection[Concern], providers: Collection[Provider]) -> None:
    ordered = sorted(changed, key=lambda concern: concern.id.int)
    named = sorted(providers, key=lambda provider: provider.ods_code)
    await connection.execute(
        """
        with named as (
            insert into providers (ods_code, name, kind)
            select w.* from unnest($9::text[], $10::text[], $11::text[]) as w (ods_code, name, kind)
            -- One that is known as it is named: to meet it as a conflict would lock it, and write to its page. Lateral
            -- with a limit, whatever the planner believes: one look into the index a provider.
            left join lateral (
                select true as is_there from providers p
                where p.ods_code = w.ods_code and p.name = w.name and p.kind = w.kind limit 1
            ) known on true
            where known.is_there is null
            on conflict (ods_code) do update set name = excluded.name, kind = excluded.kind
            where (providers.name, providers.kind) is distinct from (excluded.name, excluded.kind)
        )
        insert into concerns (id, reference, provider_code, site_code, programme, category, visited_category, open)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[],
                             $8::bool[])
        on conflict (id) do update set reference = excluded.reference, provider_code = excluded.provider_code,
            site_code = excluded.site_code, programme = excluded.programme, category = excluded.category,
            visited_category = excluded.visited_category, open = excluded.open""",
        [c.id for c in ordered],
        [c.reference for c in ordered],
        [c.provider_code for c in ordered],
        # asyncpg's stubs do not allow for a null in an array; PostgreSQL and asyncpg do.
        cast("list[str]", [c.site_code for c in ordered]),
        cast("list[str]", [c.programme for c in ordered]),
        cast("list[int]", [c.category for c in ordered]),
        cast("list[int]", [c.visited_category for c in ordered]),
        [c.open for c in ordered],
        [p.ods_code for p in named],
        [p.name for p in named],
        [p.kind.value for p in named],
    )


def _concern(row: asyncpg.Record) -> Concern:
    return Concern(
        id=row["id"],
        reference=row["reference"],
        provider_code=row["provider_code"],
        site_code=row["site_code"],
        programme=row["programme"],
        category=_category(row["category"]),
        visited_category=_category(row["visited_category"]),
        open=row["open"],
    )


def _category(value: int | None) -> Category | None:
    return None if value is None else Category(value)
