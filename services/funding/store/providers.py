"""Providers as events name them, in the database."""

from collections.abc import Collection

from shared.contracts.fields import ProviderRef
from shared.persistence.pool import Connection


async def learn(connection: Connection, providers: Collection[ProviderRef]) -> int:
    """Keep what these providers are called now; each is there once. Returns how many were not known so."""
    if not providers:
        return 0
    in_order = sorted(providers, key=lambda provider: provider.ods_code)
    done = await connection.execute(
        """
        insert into providers (ods_code, name, kind) select * from unnest($1::text[], $2::text[], $3::text[])
        on conflict (ods_code) do update set name = excluded.name, kind = excluded.kind
        where (providers.name, providers.kind) is distinct from (excluded.name, excluded.kind)""",
        [provider.ods_code for provider in in_order],
        [provider.name for provider in in_order],
        [provider.kind.value for provider in in_order],
    )
    return int(done.split()[-1])
