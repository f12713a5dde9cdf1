"""Agreements in the database."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from services.funding.domain.agreements import Agreement, Line
from shared.contracts.fields import ProviderRef
from shared.persistence.pool import Connection
from shared.reference.financial_year import FinancialYear
from shared.reference.tariff_groups import TariffGroup

#: First key of the advisory locks on a provider's year; the second is a hash of both.
_YEAR_LOCKS = 61


async def lock_years(connection: Connection, providers_and_years: Collection[tuple[str, str]]) -> None:
    """Hold these providers' years until the transaction ends.

    Whether an agreement is signed decides if an outcome waits; the lock keeps the two from passing each other.
    """
    await connection.execute(
        """
        select pg_advisory_xact_lock($1, hashtext(key))
        from (select key from unnest($2::text[]) as key order by hashtext(key)) as ordered""",
        _YEAR_LOCKS,
        sorted({f"{provider}/{year}" for provider, year in providers_and_years}),
    )


async def of_years(
    connection: Connection, providers_and_years: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Agreement]:
    """The agreements of these providers and years, as far as they are signed."""
    rows = await connection.fetch(
        """
        select a.* from agreements_with_lines a
        join unnest($1::text[], $2::text[]) as wanted (provider, year)
          on a.provider_ods_code = wanted.provider and a.financial_year = wanted.year""",
        [provider for provider, _ in providers_and_years],
        [year for _, year in providers_and_years],
    )
    return {(row["provider_ods_code"], row["financial_year"]): agreement_of(row) for row in rows}


async def of_ids(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Agreement]:
    """The agreements with these ids."""
    rows = await connection.fetch("select * from agreements_with_lines where id = any($1::uuid[])", list(ids))
    return {row["id"]: agreement_of(row) for row in rows}


async def get(connection: Connection, agreement_id: UUID) -> Agreement | None:
    """One agreement, or None."""
    return (await of_ids(connection, [agreement_id])).get(agreement_id)


async def lock(connection: Connection, agreement_id: UUID) -> Agreement | None:
    """One agreement, which nobody else can change or adjust until the transaction ends; or None."""
    await connection.execute("select from agreements where id = $1 for no key update", agreement_id)
    return await get(connection, agreement_id)


async def page(
    connection: Connection, *, provider: str | None, year: str | None, after: int, limit: int
) -> list[tuple[int, Agreement]]:
    """Agreements in the order they were signed here, each with its place in that order."""
    rows = await connection.fetch(
        """
        select * from agreements_with_lines
        where position > $1 and ($2::text is null or provider_ods_code = $2)
          and ($3::text is null or financial_year = $3)
        order by position limit $4""",
        after,
        provider,
        year,
        limit,
    )
    return [(row["position"], agreement_of(row)) for row in rows]


async def add(connection: Connection, agreement: Agreement) -> Agreement:
    """Save a new agreement with its lines; returns it with the provider as events have named it, if they have."""
    await connection.execute(
        """
        insert into agreements (id, provider_ods_code, provider_name, provider_kind, financial_year, signed_on)
        values ($1, $2, $3, $4, $5, $6)""",
        agreement.id,
        agreement.provider.ods_code,
        agreement.provider.name,
        agreement.provider.kind.value,
        agreement.year.label,
        agreement.signed_on,
    )
    await connection.execute(
        "insert into agreement_lines (agreement_id, tariff_group, amount_pence) "
        "select $1, * from unnest($2::text[], $3::bigint[])",
        agreement.id,
        [line.tariff_group.value for line in agreement.lines],
        [line.amount_pence for line in agreement.lines],
    )
    return (await of_ids(connection, [agreement.id]))[agreement.id]


async def raise_version(connection: Connection, agreement: Agreement) -> None:
    """Note that a locked agreement was adjusted: its version is the next one."""
    await connection.execute("update agreements set version = $2 + 1 where id = $1", agreement.id, agreement.version)


def agreement_of(row: Any) -> Agreement:
    """An agreement, from a row of agreements_with_lines."""
    return Agreement(
        id=row["id"],
        provider=ProviderRef(ods_code=row["provider_ods_code"], name=row["provider_name"], kind=row["provider_kind"]),
        year=FinancialYear.parse(row["financial_year"]),
        lines=_lines(row["tariff_groups"], row["amounts"]),
        signed_on=row["signed_on"],
        version=row["version"],
    )


def _lines(groups: Sequence[str], amounts: Sequence[int]) -> tuple[Line, ...]:
    return tuple(Line(TariffGroup(group), amount) for group, amount in zip(groups, amounts, strict=True))
