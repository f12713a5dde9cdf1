"""The table of the last confirmed category of each concern."""

from collections.abc import Collection, Mapping
from uuid import UUID

from services.notify.domain.happenings import Categories
from shared.contracts.fields import Category
from shared.persistence.pool import Connection


async def load(connection: Connection, concerns: Collection[UUID]) -> Categories:
    """Categories of the concerns that have one."""
    rows = await connection.fetch(
        "select concern_id, category from concern_categories where concern_id = any($1)", list(concerns)
    )
    return {row["concern_id"]: Category(row["category"]) for row in rows}


async def save(connection: Connection, categories: Mapping[UUID, Category | None]) -> None:
    """Keep categories; a concern without one is forgotten."""
    known = {concern: category for concern, category in categories.items() if category is not None}
    if known:
        await connection.execute(
            """
            insert into concern_categories (concern_id, category) select * from unnest($1::uuid[], $2::int[])
            on conflict (concern_id) do update set category = excluded.category""",
            list(known),
            [int(category) for category in known.values()],
        )
    if forgotten := [concern for concern, category in categories.items() if category is None]:
        await connection.execute("delete from concern_categories where concern_id = any($1)", forgotten)
