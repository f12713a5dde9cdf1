"""Reports of learners and educators in the database: their own words, apart from the items they became."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.intelligence.store import items
from services.intelligence.store.items import Item
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Report:
    """What a learner or an educator sent in."""

    item: Item
    words: str
    patient_safety: bool
    #: Somebody is at risk now.
    immediate: bool
    received_at: datetime

    @property
    def id(self) -> UUID:
        """Its id, the item's too."""
        return self.item.id


async def add(connection: Connection, report: Report) -> None:
    """Keep a report and the item that tells of it."""
    await items.add(connection, report.item)
    await connection.execute(
        """
        insert into reports (item_id, words, patient_safety, immediate, received_at) values ($1, $2, $3, $4, $5)""",
        report.id,
        report.words,
        report.patient_safety,
        report.immediate,
        report.received_at,
    )


async def exists(connection: Connection, report_id: UUID) -> bool:
    """True if there is such a report."""
    return bool(await connection.fetchval("select exists (select from reports where item_id = $1)", report_id))


async def load(connection: Connection, report_id: UUID) -> Report | None:
    """A report."""
    row = await connection.fetchrow("select * from reports where item_id = $1", report_id)
    return (await _with_items(connection, [row]))[0] if row else None


async def page(
    connection: Connection, *, provider: str | None, immediate: bool | None, after: UUID | None, limit: int
) -> list[Report]:
    """Up to ``limit`` reports in the order they were received, beginning after one."""
    rows = await connection.fetch(
        """
        select r.* from reports r join intelligence_items i on i.id = r.item_id
        where ($1::text is null or i.provider_code = $1) and ($2::bool is null or r.immediate = $2)
          and ($3::uuid is null or r.item_id > $3)
        order by r.item_id limit $4""",
        provider,
        immediate,
        after,
        limit,
    )
    return await _with_items(connection, rows)


async def _with_items(connection: Connection, rows: list[asyncpg.Record]) -> list[Report]:
    known = await items.load(connection, [row["item_id"] for row in rows])
    return [
        Report(
            item=known[row["item_id"]],
            words=row["words"],
            patient_safety=row["patient_safety"],
            immediate=row["immediate"],
            received_at=row["received_at"],
        )
        for row in rows
    ]
