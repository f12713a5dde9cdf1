"""The stories of concerns in the database."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
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
        *_columns(chapters),
    )


async def put_right(connection: Connection, chapters: Sequence[Chapter]) -> int:
    """Add chapters that are missing and mend those that differ; returns how many that were."""
    done = await connection.execute(
        """
        insert into concern_story as s (concern_id, event_id, type, source, subject, occurred_at, summary)
        select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                             $7::text[])
        on conflict (concern_id, event_id) do update
        set type = excluded.type, source = excluded.source, subject = excluded.subject,
            occurred_at = excluded.occurred_at, summary = excluded.summary
        where (s.type, s.source, s.subject, s.occurred_at, s.summary) is distinct from
            (excluded.type, excluded.source, excluded.subject, excluded.occurred_at, excluded.summary)""",
        *_columns(chapters),
    )
    return int(done.split()[-1])


def _columns(chapters: Sequence[Chapter]) -> tuple[list[Any], ...]:
    return (
        [c.concern_id for c in chapters],
        [c.event_id for c in chapters],
        [c.type for c in chapters],
        [c.source for c in chapters],
        [c.subject for c in chapters],
        [c.occurred_at for c in chapters],
        [c.summary for c in chapters],
    )


async def told_of(connection: Connection, concern_id: UUID, event_type: str) -> dict[str, UUID]:
    """The events of one type about a concern, by their subject."""
    rows = await connection.fetch(
        "select subject, event_id from concern_story where concern_id = $1 and type = $2", concern_id, event_type
    )
    return {row["subject"]: row["event_id"] for row in rows}


async def of(connection: Connection, concern_id: UUID) -> list[Chapter]:
    """A concern's story, oldest event first."""
    rows = await connection.fetch(
        "select * from concern_story where concern_id = $1 order by occurred_at, event_id", concern_id
    )
    return [Chapter(**dict(row)) for row in rows]


async def types_of(connection: Connection, concern_ids: Collection[UUID]) -> dict[UUID, frozenset[str]]:
    """The types of the events that are in the story of each of these concerns."""
    rows = await connection.fetch(
        """
        select concern_id, array_agg(distinct type) as types from concern_story
        where concern_id = any($1) group by concern_id""",
        list(concern_ids),
    )
    told = {row["concern_id"]: frozenset[str](row["types"]) for row in rows}
    return {one: told.get(one, frozenset()) for one in concern_ids}
