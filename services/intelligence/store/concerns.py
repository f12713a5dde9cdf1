"""Concerns, their ratings and their reporters in the database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.intelligence.domain.concern import Concern, Status
from services.intelligence.domain.life import Life
from services.intelligence.domain.organisation import Organisation
from services.intelligence.domain.rating import Rating
from services.intelligence.domain.standing import Stage
from services.intelligence.store import concern_life
from services.intelligence.store.concern_life import FollowUp
from shared.contracts.concerns import ClosureReason, Register
from shared.contracts.fields import Category, Origin
from shared.persistence.pool import Connection
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind

_SELECT = """
    select c.*, o.name, o.kind, o.parent_code, o.valid_from, o.valid_to, o.successor_code, o.source as register_source,
           o.version as provider_version
    from concerns c join organisations o on o.ods_code = c.provider_code"""


@dataclass(frozen=True, slots=True)
class RatingRow:
    """One assessment of a concern; ``category`` is None if nobody has confirmed it."""

    concern_id: UUID
    number: int
    rating: Rating
    category: Category | None
    rationale: str
    rated_on: date
    rated_by: str


@dataclass(frozen=True, slots=True)
class ImportedConcern:
    """A concern of an imported register, with what the register says of it beyond a concern's own fields."""

    concern: Concern
    register_origin: str
    citation: str | None
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Search:
    """Which concerns are asked for, by the parts of their scope; None: whichever."""

    provider: str | None = None
    site: str | None = None
    programme: str | None = None
    learner_group: LearnerGroup | None = None
    standard: str | None = None
    source_kind: SourceKind | None = None
    status: Status | None = None
    category: Category | None = None
    raised_from: date | None = None
    raised_to: date | None = None
    register: Register | None = None
    reference: str | None = None


async def _concerns(connection: Connection, rows: Sequence[asyncpg.Record]) -> list[Concern]:
    """Concerns with all that stands beside their rows."""
    beside = await concern_life.follow_ups(connection, [row["id"] for row in rows])
    return [_concern(row, beside[row["id"]]) for row in rows]


def _concern(row: asyncpg.Record, beside: FollowUp) -> Concern:
    return Concern(
        id=row["id"],
        reference=row["reference"],
        origin=Origin(row["origin"]),
        provider=Organisation(
            ods_code=row["provider_code"],
            name=row["name"],
            kind=ProviderKind(row["kind"]),
            parent_code=row["parent_code"],
            valid_from=row["valid_from"],
            valid_to=row["valid_to"],
            successor_code=row["successor_code"],
            source=row["register_source"],
            version=row["provider_version"],
        ),
        site_code=row["site_code"],
        programme=row["programme"],
        learner_group=LearnerGroup(row["learner_group"]),
        standard_set=row["standard_set"],
        standards=tuple(row["standards"]),
        source_kind=SourceKind(row["source_kind"]),
        source_date=row["source_date"],
        raised_on=row["raised_on"],
        summary=row["summary"],
        action=row["action"],
        life=Life(
            stage=Stage(row["stage"]),
            category=None if row["category"] is None else Category(row["category"]),
            significant_since=row["significant_since"],
            closed_on=row["closed_on"],
            closure_reason=ClosureReason(row["closure_reason"]) if row["closure_reason"] else None,
            merged_into=row["merged_into"],
            standings=beside.standings,
            conditions=beside.conditions,
            suspension=beside.suspension,
        ),
        version=row["version"],
    )


async def next_reference(connection: Connection, year: int) -> str:
    """A reference nobody has, such as ``C-2026-0042``. Numbers may be left out, never given twice."""
    number: int = await connection.fetchval("select nextval('concern_numbers')")
    return f"C-{year}-{number:04}"


async def add(connection: Connection, concern: Concern, created_at: datetime) -> bool:
    """Keep a new concern; False if its reference is on the register already, as an imported one can be."""
    return bool(await add_imported(connection, [ImportedConcern(concern, "", None, {})], created_at))


async def add_imported(connection: Connection, imported: Sequence[ImportedConcern], created_at: datetime) -> set[UUID]:
    """Keep concerns whose reference is not on the register yet, in one statement; returns the ids of those kept."""
    concerns = [i.concern for i in imported]
    rows = await connection.fetch(
        """
        insert into concerns (id, reference, origin, provider_code, site_code, programme, learner_group, standard_set,
                              standards, source_kind, source_date, raised_on, summary, action, citation,
                              register_origin, status, category, closed_on, closure_reason, version, created_at,
                              imported_row, stage, significant_since)
        select id, reference, origin, provider_code, site_code, programme, learner_group, standard_set,
               string_to_array(standards, ';'), source_kind, source_date, raised_on, summary, action,
               citation, nullif(register_origin, ''), status, category, closed_on, closure_reason, version, $22,
               nullif(imported_row, '{}'::jsonb), stage, significant_since
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                    $8::text[], $9::text[], $10::text[], $11::date[], $12::date[], $13::text[], $14::text[],
                    $15::text[], $16::text[], $17::text[], $18::int[], $19::date[], $20::text[], $21::int[],
                    $23::jsonb[], $24::text[], $25::date[])
            as new (id, reference, origin, provider_code, site_code, programme, learner_group, standard_set,
                    standards, source_kind, source_date, raised_on, summary, action, citation, register_origin,
                    status, category, closed_on, closure_reason, version, imported_row, stage,
                    significant_since)
        on conflict (reference) do nothing
        returning id""",
        [c.id for c in concerns],
        [c.reference for c in concerns],
        [c.origin.value for c in concerns],
        [c.provider.ods_code for c in concerns],
        [c.site_code for c in concerns],
        [c.programme for c in concerns],
        [c.learner_group.value for c in concerns],
        [c.standard_set for c in concerns],
        [";".join(c.standards) for c in concerns],
        [c.source_kind.value for c in concerns],
        [c.source_date for c in concerns],
        [c.raised_on for c in concerns],
        [c.summary for c in concerns],
        [c.action for c in concerns],
        [i.citation for i in imported],
        [i.register_origin for i in imported],
        [c.status.value for c in concerns],
        [None if c.category is None else c.category.value for c in concerns],
        [c.closed_on for c in concerns],
        [c.closure_reason.value if c.closure_reason else None for c in concerns],
        [c.version for c in concerns],
        created_at,
        [dict(i.row) for i in imported],
        [c.life.stage.value for c in concerns],
        [c.life.significant_since for c in concerns],
    )
    return {row["id"] for row in rows}


async def imported_rows(connection: Connection, references: Collection[str]) -> dict[str, dict[str, Any] | None]:
    """For each of these references on the register, the row it was imported with; None if it was not imported."""
    rows = await connection.fetch(
        "select reference, imported_row from concerns where reference = any($1)", list(references)
    )
    return {row["reference"]: row["imported_row"] for row in rows}


async def load_locked(connection: Connection, concern_id: UUID) -> Concern | None:
    """A concern, locked until the transaction ends."""
    return (await load_all_locked(connection, [concern_id])).get(concern_id)


async def load_all_locked(connection: Connection, concern_ids: Collection[UUID]) -> dict[UUID, Concern]:
    """Those of these concerns that there are, locked in the order of their ids until the transaction ends."""
    rows = await connection.fetch(f"{_SELECT} where c.id = any($1) order by c.id for update of c", list(concern_ids))
    return {concern.id: concern for concern in await _concerns(connection, rows)}


async def load(connection: Connection, concern_id: UUID) -> Concern | None:
    """A concern."""
    rows = await connection.fetch(f"{_SELECT} where c.id = $1", concern_id)
    return next(iter(await _concerns(connection, rows)), None)


async def save(connection: Connection, before: Concern, after: Concern) -> None:
    """Save what a command changed of a concern. Its row must be locked by this transaction."""
    life = after.life
    await connection.execute(
        """
        update concerns
        set status = $2, category = $3, closed_on = $4, closure_reason = $5, version = $6, stage = $7, merged_into = $8,
            significant_since = $9, site_code = $10, programme = $11, learner_group = $12, standards = $13
        where id = $1""",
        after.id,
        after.status.value,
        None if life.category is None else life.category.value,
        life.closed_on,
        life.closure_reason.value if life.closure_reason else None,
        after.version,
        life.stage.value,
        life.merged_into,
        life.significant_since,
        after.site_code,
        after.programme,
        after.learner_group.value,
        list(after.standards),
    )
    await concern_life.save(connection, after.id, before.life, life)


async def page(connection: Connection, search: Search, *, after: UUID | None, limit: int) -> list[Concern]:
    """Up to ``limit`` concerns of a scope in the order they came onto the register, beginning after one."""
    rows = await connection.fetch(
        f"""{_SELECT}
        where ($1::text is null or c.provider_code = $1) and ($2::text is null or c.site_code = $2)
          and ($3::text is null or lower(c.programme) = lower($3)) and ($4::text is null or c.learner_group = $4)
          and ($5::text is null or $5 = any(c.standards)) and ($6::text is null or c.source_kind = $6)
          and ($7::text is null or c.status = $7) and ($8::int is null or c.category = $8)
          and ($9::date is null or c.raised_on >= $9) and ($10::date is null or c.raised_on <= $10)
          and ($11::text is null or exists (
              select from concern_registers r where r.concern_id = c.id and r.register = $11 and r.state <> 'off'))
          and ($12::text is null or c.reference = $12) and ($13::uuid is null or c.id > $13)
        order by c.id limit $14""",
        search.provider,
        search.site,
        search.programme,
        search.learner_group.value if search.learner_group else None,
        search.standard,
        search.source_kind.value if search.source_kind else None,
        search.status.value if search.status else None,
        None if search.category is None else search.category.value,
        search.raised_from,
        search.raised_to,
        search.register.value if search.register else None,
        search.reference,
        after,
        limit,
    )
    return await _concerns(connection, rows)


async def count_open(connection: Connection) -> int:
    """How many concerns are open."""
    return await connection.fetchval("select count(*) from concerns where status = 'open'")


async def add_ratings(connection: Connection, ratings: Sequence[RatingRow]) -> None:
    """Add assessments, in one statement."""
    await connection.execute(
        """
        insert into concern_ratings (concern_id, number, impact, likelihood, suggested_category, category, rationale,
                                     rated_on, rated_by)
        select * from unnest($1::uuid[], $2::int[], $3::int[], $4::int[], $5::int[], $6::int[], $7::text[],
                             $8::date[], $9::text[])""",
        [r.concern_id for r in ratings],
        [r.number for r in ratings],
        [r.rating.impact for r in ratings],
        [r.rating.likelihood for r in ratings],
        [r.rating.suggested_category.value for r in ratings],
        [None if r.category is None else r.category.value for r in ratings],
        [r.rationale for r in ratings],
        [r.rated_on for r in ratings],
        [r.rated_by for r in ratings],
    )


async def ratings_of(connection: Connection, concern_id: UUID) -> list[RatingRow]:
    """All assessments of a concern, oldest first."""
    rows = await connection.fetch("select * from concern_ratings where concern_id = $1 order by number", concern_id)
    return [
        RatingRow(
            concern_id=row["concern_id"],
            number=row["number"],
            rating=Rating(row["impact"], row["likelihood"]),
            category=None if row["category"] is None else Category(row["category"]),
            rationale=row["rationale"],
            rated_on=row["rated_on"],
            rated_by=row["rated_by"],
        )
        for row in rows
    ]
