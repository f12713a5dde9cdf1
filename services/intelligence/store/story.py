"""The stories of concerns in the database."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Chapter:
    """One event about a concern."""

    concern_id: UUID
    event_id: UUID
    type: str
    source: str
    subject: str
    occurred_at: datetime
    summary: str


async def known(connection: Connection, concern_ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids that are concerns of this register."""
    rows = await connection.fetch("select id from concerns where id = any($1)", list(concern_ids))
    return {row["id"] for row in rows}


async def add(connection: Connection, chapters: Sequence[Chapter]) -> None:
    """Add to the stories, in one statement. An event told twice is refused: it would be a doubled effect."""
    if not chapters:
        return
    await connection.execute(
        """
        insert into concern_story (concern_id, event_id, type, source, subject, occurred_at, summary)
        select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                             $7::text[])""",
        [c.concern_id for c in chapters],
        [c.event_id for c in chapters],
        [c.type for c in chapters],
        [c.source for c in chapters],
        [c.subject for c in chapters],
        [c.occurred_at for c in chapters],
        [c.summary for c in chapters],
    )


async def of(connection: Connection, concern_id: UUID) -> list[Chapter]:
    """A concern's story, oldest event first."""
    rows = await connection.fetch(
        "select * from concern_story where concern_id = $1 order by occurred_at, event_id", concern_id
    )
    return [Chapter(**dict(row)) for row in rows]
