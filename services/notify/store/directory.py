"""Tables of the directory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import cast
from uuid import UUID

import asyncpg

from services.notify.domain.stakeholders import Stakeholder, StakeholderKind, Subscription
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Entry:
    """A stakeholder with its address, which no ``repr`` shows."""

    stakeholder: Stakeholder
    email: str = field(repr=False)


async def add(connection: Connection, entries: Sequence[Entry], at: datetime) -> set[UUID]:
    """Add entries but for those whose reference is taken; returns the ids of those that were added."""
    ordered = sorted(entries, key=lambda entry: entry.stakeholder.reference or "")
    rows = await connection.fetch(
        """
        insert into stakeholders (id, reference, kind, organisation, provider_code, active, created_at)
        select *, $7::timestamptz
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[])
        on conflict (reference) do nothing
        returning id""",
        [entry.stakeholder.id for entry in ordered],
        # asyncpg's stubs do not allow for a null in an array; PostgreSQL and asyncpg do.
        cast("list[str]", [entry.stakeholder.reference for entry in ordered]),
        [entry.stakeholder.kind.value for entry in ordered],
        [entry.stakeholder.organisation for entry in ordered],
        cast("list[str]", [entry.stakeholder.provider_code for entry in ordered]),
        [entry.stakeholder.active for entry in ordered],
        at,
    )
    added: set[UUID] = {row["id"] for row in rows}
    new = [entry for entry in ordered if entry.stakeholder.id in added]
    await _save_addresses(connection, new)
    await _save_subscriptions(connection, [entry.stakeholder for entry in new])
    return added


async def change(connection: Connection, entry: Entry) -> None:
    """Save an entry that was loaded for update."""
    stakeholder = entry.stakeholder
    await connection.execute(
        """
        update stakeholders set kind = $2, organisation = $3, provider_code = $4, active = $5, version = $6
        where id = $1""",
        stakeholder.id,
        stakeholder.kind.value,
        stakeholder.organisation,
        stakeholder.provider_code,
        stakeholder.active,
        stakeholder.version,
    )
    await _save_addresses(connection, [entry])
    await connection.execute("delete from subscriptions where stakeholder_id = $1", stakeholder.id)
    await _save_subscriptions(connection, [stakeholder])


async def load(connection: Connection, stakeholder_id: UUID, *, for_update: bool = False) -> Entry | None:
    """One entry with its address; None if there is none."""
    if for_update:
        await connection.execute("select 1 from stakeholders where id = $1 for update", stakeholder_id)
    found = await _entries(connection, await _rows(connection, ids=[stakeholder_id]))
    return found[0] if found else None


async def page(
    connection: Connection,
    *,
    kind: StakeholderKind | None,
    active: bool | None,
    reference: str | None,
    after: UUID | None,
    limit: int,
) -> list[Entry]:
    """Entries after an id, in the order of their ids, which is that of their making."""
    rows = await connection.fetch(
        """
        select s.*, a.email from stakeholders s join stakeholder_addresses a on a.stakeholder_id = s.id
        where ($1::text is null or s.kind = $1) and ($2::boolean is null or s.active = $2)
          and ($3::text is null or s.reference = $3) and ($4::uuid is null or s.id > $4)
        order by s.id limit $5""",
        kind.value if kind else None,
        active,
        reference,
        after,
        limit,
    )
    return await _entries(connection, rows)


async def ids_of(connection: Connection, references: Sequence[str]) -> dict[str, UUID]:
    """The ids of the entries with these references."""
    rows = await connection.fetch("select reference, id from stakeholders where reference = any($1)", references)
    return {row["reference"]: row["id"] for row in rows}


async def subscribers(connection: Connection) -> list[Stakeholder]:
    """All active stakeholders, without their addresses, in the order of their making."""
    rows = await connection.fetch(
        """
        select s.*, i.event_types, i.provider_code as only_provider, i.minimum_category
        from stakeholders s left join subscriptions i on i.stakeholder_id = s.id
        where s.active order by s.id, i.place"""
    )
    found: list[Stakeholder] = []
    for _, of_one in groupby(rows, key=itemgetter("id")):
        lines = list(of_one)
        subscriptions = [
            _subscription(line, line["only_provider"]) for line in lines if line["event_types"] is not None
        ]
        found.append(_stakeholder(lines[0], {lines[0]["id"]: subscriptions}))
    return found


async def _rows(connection: Connection, *, ids: Sequence[UUID]) -> list[asyncpg.Record]:
    return await connection.fetch(
        """
        select s.*, a.email from stakeholders s join stakeholder_addresses a on a.stakeholder_id = s.id
        where s.id = any($1)""",
        ids,
    )


async def _entries(connection: Connection, rows: Sequence[asyncpg.Record]) -> list[Entry]:
    subscriptions = await _subscriptions(connection, [row["id"] for row in rows])
    return [Entry(_stakeholder(row, subscriptions), row["email"]) for row in rows]


async def _subscriptions(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, list[Subscription]]:
    rows = await connection.fetch(
        """
        select stakeholder_id, event_types, provider_code, minimum_category from subscriptions
        where stakeholder_id = any($1) order by stakeholder_id, place""",
        ids,
    )
    found: dict[UUID, list[Subscription]] = {}
    for row in rows:
        found.setdefault(row["stakeholder_id"], []).append(_subscription(row, row["provider_code"]))
    return found


def _subscription(row: asyncpg.Record, provider_code: str | None) -> Subscription:
    return Subscription(
        event_types=row["event_types"], provider_code=provider_code, minimum_category=row["minimum_category"]
    )


def _stakeholder(row: asyncpg.Record, subscriptions: dict[UUID, list[Subscription]]) -> Stakeholder:
    return Stakeholder(
        id=row["id"],
        reference=row["reference"],
        kind=StakeholderKind(row["kind"]),
        organisation=row["organisation"],
        provider_code=row["provider_code"],
        active=row["active"],
        subscriptions=tuple(subscriptions.get(row["id"], ())),
        version=row["version"],
    )


async def _save_addresses(connection: Connection, entries: Sequence[Entry]) -> None:
    await connection.execute(
        """
        insert into stakeholder_addresses (stakeholder_id, email) select * from unnest($1::uuid[], $2::text[])
        on conflict (stakeholder_id) do update set email = excluded.email""",
        [entry.stakeholder.id for entry in entries],
        [entry.email for entry in entries],
    )


async def _save_subscriptions(connection: Connection, stakeholders: Sequence[Stakeholder]) -> None:
    # As JSON, because PostgreSQL's unnest would flatten the lists of event types.
    rows = [
        {"stakeholder_id": str(stakeholder.id), "place": place, **subscription.model_dump(mode="json")}
        for stakeholder in stakeholders
        for place, subscription in enumerate(stakeholder.subscriptions)
    ]
    await connection.execute(
        """
        insert into subscriptions (stakeholder_id, place, event_types, provider_code, minimum_category)
        select stakeholder_id, place, event_types, provider_code, minimum_category
        from jsonb_to_recordset($1) as given (stakeholder_id uuid, place int, event_types text[],
                                              provider_code text, minimum_category int)""",
        rows,
    )
