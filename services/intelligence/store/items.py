"""Items of intelligence in the database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import asyncpg

from shared.persistence.pool import Connection
from shared.reference.kinds import LearnerGroup, SourceKind, Tendency


@dataclass(frozen=True, slots=True)
class Item:
    """Something that was heard about a provider."""

    id: UUID
    provider_code: str
    site_code: str | None
    programme: str | None
    learner_group: LearnerGroup | None
    standards: list[str]
    source_kind: SourceKind
    source_date: date
    summary: str
    recorded_at: datetime
    #: File and line it came from, if it was imported.
    file_id: int | None = None
    line: int | None = None
    #: What the source itself calls it.
    reference: str | None = None
    #: What it is about, such as ``patient_safety``.
    theme: str | None = None
    #: A regulator's word, such as ``requires improvement``.
    rating: str | None = None
    tendency: Tendency | None = None
    #: The item of a later file that says otherwise; this one stays to be traced.
    replaced_by: UUID | None = None


#: Any number, but the same in every process: serialises imports of items.
_IMPORTS = 6_112_102

_COLUMNS = ", ".join(f"i.{name}" for name in Item.__dataclass_fields__)


def _item(row: asyncpg.Record) -> Item:
    group = row["learner_group"]
    return Item(
        **{
            **{name: row[name] for name in Item.__dataclass_fields__},
            "learner_group": LearnerGroup(group) if group else None,
            "source_kind": SourceKind(row["source_kind"]),
            "tendency": Tendency(row["tendency"]) if row["tendency"] else None,
        }
    )


async def add(connection: Connection, item: Item) -> None:
    """Keep an item."""
    await connection.execute(
        """
        insert into intelligence_items (id, provider_code, site_code, programme, learner_group, standards,
                                        source_kind, source_date, summary, recorded_at, theme, tendency)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        item.id,
        item.provider_code,
        item.site_code,
        item.programme,
        item.learner_group.value if item.learner_group else None,
        item.standards,
        item.source_kind.value,
        item.source_date,
        item.summary,
        item.recorded_at,
        item.theme,
        item.tendency,
    )


async def lock_imports(connection: Connection) -> None:
    """Let nobody else import items until the transaction ends: two files may hold the same one."""
    await connection.execute("select pg_advisory_xact_lock($1)", _IMPORTS)


async def by_identity(connection: Connection, identities: Collection[str]) -> dict[str, Item]:
    """The items known by these identities that hold now."""
    rows = await connection.fetch(
        f"select i.identity, {_COLUMNS} from intelligence_items i "  # noqa: S608 constants
        "where i.identity = any($1) and i.replaced_by is null",
        list(identities),
    )
    return {row["identity"]: _item(row) for row in rows}


async def add_imported(connection: Connection, imported: Sequence[tuple[str, Item]]) -> None:
    """Keep items that came in a file, each with its identity, in one statement."""
    items = [item for _, item in imported]
    await connection.execute(
        """
        insert into intelligence_items (id, provider_code, site_code, programme, learner_group, standards, source_kind,
                                        source_date, summary, recorded_at, file_id, line, reference, theme, rating,
                                        tendency, identity)
        select id, provider_code, site_code, programme, learner_group, string_to_array(standards, ';'), source_kind,
               source_date, summary, $17, file_id, line, reference, theme, rating, tendency, identity
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::date[],
                    $9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[],
                    $16::text[])
            as new (id, provider_code, site_code, programme, learner_group, standards, source_kind, source_date,
                    summary, file_id, line, reference, theme, rating, tendency, identity)""",
        [i.id for i in items],
        [i.provider_code for i in items],
        [i.site_code for i in items],
        [i.programme for i in items],
        [i.learner_group.value if i.learner_group else None for i in items],
        [";".join(i.standards) for i in items],
        [i.source_kind.value for i in items],
        [i.source_date for i in items],
        [i.summary for i in items],
        [i.file_id for i in items],
        [i.line for i in items],
        [i.reference for i in items],
        [i.theme for i in items],
        [i.rating for i in items],
        [i.tendency.value if i.tendency else None for i in items],
        [identity for identity, _ in imported],
        items[0].recorded_at if items else None,
    )


async def replace_by(connection: Connection, replaced: Mapping[UUID, UUID]) -> None:
    """Let items be replaced by others, of a later file: they stay, and no longer hold."""
    await connection.execute(
        """
        update intelligence_items i set replaced_by = new.by
        from unnest($1::uuid[], $2::uuid[]) as new (id, by) where i.id = new.id""",
        list(replaced),
        list(replaced.values()),
    )


async def load(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Item]:
    """The items of these ids that there are."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from intelligence_items i where i.id = any($1)",  # noqa: S608 a constant
        list(ids),
    )
    return {row["id"]: _item(row) for row in rows}


async def of_concern(connection: Connection, concern_id: UUID) -> list[Item]:
    """The items a concern rests on, oldest first."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from intelligence_items i join concern_items c on c.item_id = i.id
        where c.concern_id = $1 order by i.source_date, i.id""",  # noqa: S608 a constant
        concern_id,
    )
    return [_item(row) for row in rows]


async def link(connection: Connection, concern_id: UUID, item_ids: Collection[UUID]) -> None:
    """Let a concern rest on items; one it rests on already stays."""
    await connection.execute(
        "insert into concern_items (concern_id, item_id) select $1, unnest($2::uuid[]) on conflict do nothing",
        concern_id,
        list(item_ids),
    )


async def link_all_of(connection: Connection, merged_id: UUID, concern_id: UUID) -> None:
    """Let a concern rest on all that another one rests on; the other one's links stay."""
    await connection.execute(
        """
        insert into concern_items (concern_id, item_id) select $2, item_id from concern_items where concern_id = $1
        on conflict do nothing""",
        merged_id,
        concern_id,
    )


async def page(
    connection: Connection, *, provider: str | None, source_kind: SourceKind | None, after: UUID | None, limit: int
) -> list[Item]:
    """Up to ``limit`` items in the order they were recorded, beginning after one."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from intelligence_items i
        where ($1::text is null or provider_code = $1) and ($2::text is null or source_kind = $2)
          and ($3::uuid is null or id > $3)
        order by id limit $4""",  # noqa: S608 a constant
        provider,
        source_kind.value if source_kind else None,
        after,
        limit,
    )
    return [_item(row) for row in rows]
