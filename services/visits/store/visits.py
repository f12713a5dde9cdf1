"""Visits and their panels in the database."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import asyncpg

from services.visits.domain.panel import Seat
from services.visits.domain.visit import Visit, VisitState
from shared.contracts.fields import PanelRole, VisitKind
from shared.contracts.visits import CancellationReason
from shared.persistence.pool import Connection

_SELECT = """
    select v.*, (select o.id from outcomes o where o.visit_id = v.id) as outcome_id,
           array(select c.concern_id from visit_concerns c where c.visit_id = v.id order by c.place) as concern_ids,
           array(select r.requirement_id from visit_requirements r where r.visit_id = v.id order by r.place)
               as requirement_ids,
           array(select m.person_id from panel_members m where m.visit_id = v.id order by m.place) as panel_people,
           array(select m.role from panel_members m where m.visit_id = v.id order by m.place) as panel_roles
    from visits v"""


async def get(connection: Connection, visit_id: UUID) -> Visit | None:
    """One visit, or None."""
    row = await connection.fetchrow(f"{_SELECT} where v.id = $1", visit_id)
    return _visit(row) if row else None


async def lock(connection: Connection, visit_id: UUID) -> Visit | None:
    """One visit, locked until the transaction ends, or None."""
    await connection.execute("select from visits where id = $1 for update", visit_id)
    # A statement of its own: it sees the panel that was saved while this transaction waited for the lock.
    return await get(connection, visit_id)


async def page(
    connection: Connection,
    *,
    provider_code: str | None,
    state: VisitState | None,
    first: date | None,
    last: date | None,
    before: tuple[date, UUID] | None,
    limit: int,
) -> list[Visit]:
    """Visits by their day, the latest first."""
    before_date, before_id = before or (None, None)
    rows = await connection.fetch(
        f"""{_SELECT}
        where ($1::text is null or v.provider_code = $1) and ($2::text is null or v.state = $2)
              and ($3::date is null or v.visit_date >= $3) and ($4::date is null or v.visit_date <= $4)
              and ($5::date is null or (v.visit_date, v.id) < ($5, $6::uuid))
        order by v.visit_date desc, v.id desc limit $7""",
        provider_code,
        state,
        first,
        last,
        before_date,
        before_id,
        limit,
    )
    return [_visit(row) for row in rows]


async def add(connection: Connection, visit: Visit) -> None:
    """Add a visit with its concerns, requirements and panel."""
    await connection.execute(
        """
        insert into visits (id, provider_code, site_code, parent_code, kind, visit_date, state, reason, late_reason,
                            scheduled_at, version)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        visit.id,
        visit.provider_code,
        visit.site_code,
        visit.parent_code,
        visit.kind,
        visit.visit_date,
        visit.state,
        visit.reason,
        visit.late_reason,
        visit.scheduled_at,
        visit.version,
    )
    await connection.execute(
        """
        insert into visit_concerns (visit_id, place, concern_id)
        select $1, place, id from unnest($2::uuid[]) with ordinality as c (id, place)""",
        visit.id,
        visit.concern_ids,
    )
    await connection.execute(
        """
        insert into visit_requirements (visit_id, place, requirement_id)
        select $1, place, id from unnest($2::uuid[]) with ordinality as r (id, place)""",
        visit.id,
        visit.requirement_ids,
    )
    await _add_panel(connection, visit.id, visit.panel)


async def save(connection: Connection, visit: Visit) -> None:
    """Keep a visit's state; what it is about and who sits on its panel stay."""
    await connection.execute(
        "update visits set state = $2, cancellation_reason = $3, cancellation_note = $4, version = $5 where id = $1",
        visit.id,
        visit.state,
        visit.cancellation_reason,
        visit.cancellation_note,
        visit.version,
    )


async def save_panel(connection: Connection, visit: Visit) -> None:
    """Keep a visit with another panel than before."""
    await save(connection, visit)
    await connection.execute("delete from panel_members where visit_id = $1", visit.id)
    await _add_panel(connection, visit.id, visit.panel)


async def _add_panel(connection: Connection, visit_id: UUID, panel: Sequence[Seat]) -> None:
    await connection.execute(
        """
        insert into panel_members (visit_id, place, person_id, role)
        select $1, place, person_id, role from unnest($2::uuid[], $3::text[]) with ordinality
            as m (person_id, role, place)""",
        visit_id,
        [seat.person_id for seat in panel],
        [seat.role.value for seat in panel],
    )


async def count(connection: Connection) -> dict[VisitState, int]:
    """How many visits there are in each state that has any."""
    rows = await connection.fetch("select state, count(*) as visits from visits group by state")
    return {VisitState(row["state"]): row["visits"] for row in rows}


def _visit(row: asyncpg.Record) -> Visit:
    reason = row["cancellation_reason"]
    return Visit(
        id=row["id"],
        provider_code=row["provider_code"],
        site_code=row["site_code"],
        parent_code=row["parent_code"],
        kind=VisitKind(row["kind"]),
        visit_date=row["visit_date"],
        concern_ids=tuple(row["concern_ids"]),
        requirement_ids=tuple(row["requirement_ids"]),
        panel=tuple(
            Seat(person_id, PanelRole(role))
            for person_id, role in zip(row["panel_people"], row["panel_roles"], strict=True)
        ),
        reason=row["reason"],
        late_reason=row["late_reason"],
        scheduled_at=row["scheduled_at"],
        state=VisitState(row["state"]),
        cancellation_reason=CancellationReason(reason) if reason else None,
        cancellation_note=row["cancellation_note"],
        outcome_id=row["outcome_id"],
        version=row["version"],
    )
