"""What there is of signals: items of intelligence and flags, in the one form that the policy judges."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID
from zlib import crc32

import asyncpg

from services.intelligence.domain.proposal_policy import ProposalPolicy
from services.intelligence.domain.signals import Mark, Scope, Signal, SignalKind, programme_key, survey_of
from services.intelligence.store.items import Item
from shared.persistence.pool import Connection
from shared.reference.kinds import LearnerGroup, SourceKind

#: Any number, but the same in every process: the space of the locks on providers.
_PROVIDERS = 6_112_029


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a signal came from, and how it stands now."""

    #: Grows when what it says is corrected.
    revision: int
    #: False for an item that a later file says otherwise of.
    holds: bool
    #: The imported file and the line in it; None for what was not imported.
    file_id: int | None
    name: str | None
    source: str | None
    line: int | None


#: True for an item that none of those holds which take its place. One of a file that was broken off does not hold yet,
#: and may never: until it does, what it would replace holds.
_HOLDS = """
    (i.file_id is null or f.finished_at is not null) and (i.replaced_by is null or not exists (
        with recursive later (id, file_id, replaced_by) as (
            select n.id, n.file_id, n.replaced_by from intelligence_items n where n.id = i.replaced_by
            union all
            select n.id, n.file_id, n.replaced_by from intelligence_items n join later l on n.id = l.replaced_by
        )
        select from later l join import_files lf on lf.id = l.file_id and lf.finished_at is not null))"""

#: Items that point to something being wrong and hold now. What a source does not say points that way: it was told to
#: the quality team for a reason. Kinds of source that are all "other" are told apart by the file they came in.
_ITEMS = f"""
    select i.id, i.provider_code, i.site_code, i.programme, i.learner_group, i.standards, i.source_kind, i.source_date,
           coalesce(i.theme, '') = 'patient_safety' or coalesce(r.patient_safety, false) as patient_safety,
           coalesce(r.immediate, false) as immediate,
           case when i.source_kind = 'other' then coalesce(f.source, 'other') else i.source_kind end as source
    from intelligence_items i
    left join reports r on r.item_id = i.id
    left join import_files f on f.id = i.file_id
    where coalesce(i.tendency, 'adverse') = 'adverse' and {_HOLDS}"""  # noqa: S608 a constant

#: The version since which a flag is what it is now: one whose numbers alone were corrected says nothing new.
_FLAG_REVISION = """
    1 + coalesce((
        select max(c.version) from flag_corrections c
        where c.flag_id = g.id and (c.flag, c.triple_red) is distinct from (g.flag, g.triple_red)
    ), 0)"""

#: Red flags of the last year of their series that says anything: what was red before that is history. A site that the
#: register does not know is left open; the flag itself still names it.
_FLAGS = f"""
    select g.id, {_FLAG_REVISION} as revision, g.provider_code, s.ods_code as site_code, g.specialty, g.report_type,
           g.year, g.triple_red
    from flags g
    join organisations o on o.ods_code = g.provider_code and o.parent_code is null
    left join organisations s on s.ods_code = g.site_code and s.parent_code = g.provider_code
    where g.flag = 'red' and not exists (
        select from flags later
        where later.provider_code = g.provider_code and later.report_type = g.report_type
          and later.indicator = g.indicator and later.year > g.year and later.specialty = g.specialty
          and later.site_code = g.site_code and later.flag not in ('grey', 'yellow')
    )"""  # noqa: S608 constants

_ITEM_NEWS = "not exists (select from considered_signals c where c.kind = 'item' and c.signal_id = i.id)"
_FLAG_NEWS = """
    not exists (
        select from considered_signals c
        where c.kind = 'flag' and c.signal_id = f.id and c.revision = f.revision
    )"""


async def lock_providers(connection: Connection, codes: Collection[str]) -> None:
    """Let nobody else apply the policy to these providers until the transaction ends.

    Two signals that come at once would not see each other; after this, the second sees the first.
    """
    # Not rows of the register: an import of organisations holds those, and waits for what an import of results holds.
    keys = sorted({crc32(code.encode()) - 2**31 for code in codes})
    await connection.fetch("select pg_advisory_xact_lock($1, key) from unnest($2::int[]) as key", _PROVIDERS, keys)


async def providers_with_news(connection: Connection) -> list[str]:
    """The providers about which there is a signal that the policy has not been applied to."""
    rows = await connection.fetch(
        f"""
        select provider_code from ({_ITEMS}) i where {_ITEM_NEWS}
        union select provider_code from ({_FLAGS}) f where {_FLAG_NEWS}
        order by provider_code"""  # noqa: S608 constants
    )
    return [row["provider_code"] for row in rows]


async def news(connection: Connection, codes: Collection[str], policy: ProposalPolicy) -> list[Signal]:
    """The signals about these providers that the policy has not been applied to."""
    return await _read(connection, codes, policy, items_that=_ITEM_NEWS, flags_that=_FLAG_NEWS)


async def known(connection: Connection, codes: Collection[str], policy: ProposalPolicy) -> list[Signal]:
    """All signals about these providers that hold now."""
    return await _read(connection, codes, policy, items_that="true", flags_that="true")


async def origins(connection: Connection, of: Sequence[Signal]) -> dict[str, Origin]:
    """Where each of the signals came from, by its id."""
    rows = await connection.fetch(
        f"""
        select i.id, 1 as revision, {_HOLDS} as holds, i.file_id, f.name, f.source, i.line
        from intelligence_items i left join import_files f on f.id = i.file_id
        where i.id = any($1)
        union all
        select g.id, {_FLAG_REVISION}, true, g.file_id, f.name, f.source, g.line
        from flags g join import_files f on f.id = g.file_id
        where g.id = any($2)""",  # noqa: S608 a constant
        [UUID(signal.id) for signal in of if signal.kind is SignalKind.ITEM],
        [UUID(signal.id) for signal in of if signal.kind is SignalKind.FLAG],
    )
    return {str(row["id"]): Origin(**{name: row[name] for name in Origin.__dataclass_fields__}) for row in rows}


async def mark_considered(connection: Connection, signals: Sequence[Signal]) -> None:
    """Note that the policy was applied to these."""
    await connection.execute(
        """
        insert into considered_signals (kind, signal_id, revision)
        select * from unnest($1::text[], $2::uuid[], $3::int[]) on conflict do nothing""",
        [signal.kind.value for signal in signals],
        [UUID(signal.id) for signal in signals],
        [signal.revision for signal in signals],
    )


def of_linked(item: Item) -> Signal:
    """An item that a person linked to a concern, as a signal."""
    return Signal(
        kind=SignalKind.ITEM,
        id=str(item.id),
        revision=1,
        scope=Scope(item.provider_code, item.site_code, item.programme, item.learner_group),
        standards=frozenset(item.standards),
        source=item.source_kind.value,
        source_kind=item.source_kind,
        on=item.source_date,
    )


async def _read(
    connection: Connection, codes: Collection[str], policy: ProposalPolicy, *, items_that: str, flags_that: str
) -> list[Signal]:
    items = await connection.fetch(
        f"select * from ({_ITEMS}) i where provider_code = any($1) and {items_that}",  # noqa: S608 constants
        list(codes),
    )
    places = await _worth_reading(connection, codes, policy)
    flags = await connection.fetch(
        f"""
        select * from ({_FLAGS} and g.provider_code = any($1)
            and (g.triple_red or (g.provider_code, g.specialty) in (select * from unnest($2::text[], $3::text[])))) f
        where {flags_that}""",  # noqa: S608 constants
        list(codes),
        [provider_code for provider_code, _ in places],
        [specialty for _, specialty in places],
    )
    return [*(_of_item(row) for row in items), *(_of_flag(row, policy) for row in flags)]


async def _worth_reading(
    connection: Connection, codes: Collection[str], policy: ProposalPolicy
) -> list[tuple[str, str]]:
    """Provider and specialty of red flags that a rule can ask for though they are no triple reds.

    A survey has thousands of red flags. Unless the policy asks for them alone, they say something only beside an item,
    or a red flag of another survey.
    """
    red = await connection.fetch(
        """
        select provider_code, specialty, array_agg(distinct report_type) as reports
        from flags where flag = 'red' and provider_code = any($1) group by provider_code, specialty""",
        list(codes),
    )
    spoken_of = await connection.fetch(
        f"select distinct provider_code, programme from ({_ITEMS}) i where provider_code = any($1)",  # noqa: S608 a constant
        list(codes),
    )
    sources = defaultdict[tuple[str, str], set[str]](set)
    for row in red:
        sources[(row["provider_code"], programme_key(row["specialty"]))] |= {
            survey_of(one)[1] for one in row["reports"]
        }
    items = {(row["provider_code"], programme_key(row["programme"])) for row in spoken_of}
    return [
        (row["provider_code"], row["specialty"])
        for row in red
        if policy.asks_for_red_alone
        or (place := (row["provider_code"], programme_key(row["specialty"]))) in items
        or len(sources[place]) > 1
    ]


def _of_item(row: asyncpg.Record) -> Signal:
    marks = {Mark.PATIENT_SAFETY: row["patient_safety"], Mark.IMMEDIATE: row["immediate"]}
    group = row["learner_group"]
    return Signal(
        kind=SignalKind.ITEM,
        id=str(row["id"]),
        revision=1,
        scope=Scope(row["provider_code"], row["site_code"], row["programme"], LearnerGroup(group) if group else None),
        standards=frozenset(row["standards"]),
        source=row["source"],
        source_kind=SourceKind(row["source_kind"]),
        on=row["source_date"],
        marks=frozenset(mark for mark, there in marks.items() if there),
    )


def _of_flag(row: asyncpg.Record, policy: ProposalPolicy) -> Signal:
    survey, source = survey_of(row["report_type"])
    return Signal(
        kind=SignalKind.FLAG,
        id=str(row["id"]),
        revision=row["revision"],
        scope=Scope(
            row["provider_code"],
            row["site_code"],
            row["specialty"] or None,
            # Doctors in training are who the National Training Survey asks; the other one asks all professions.
            LearnerGroup.MEDICAL if survey is SourceKind.NTS else None,
        ),
        standards=frozenset(),
        source=source,
        source_kind=survey,
        on=policy.survey_day(source, row["year"]),
        marks=frozenset({Mark.RED, Mark.TRIPLE_RED} if row["triple_red"] else {Mark.RED}),
    )
