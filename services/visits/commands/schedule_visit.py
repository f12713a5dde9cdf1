"""Scheduling a visit, with its complete panel."""

from dataclasses import replace
from uuid import UUID

from uuid_utils.compat import uuid7

from services.visits import history
from services.visits.bodies import ScheduleVisitBody
from services.visits.commands.refusing import refuse
from services.visits.commands.visits import read_visit
from services.visits.domain import panel as panels
from services.visits.domain import requirement as requirement_rules
from services.visits.domain import visit as rules
from services.visits.domain.concern import Provider
from services.visits.domain.errors import Violation
from services.visits.domain.panel import Seat
from services.visits.domain.requirement import Step
from services.visits.domain.visit import Visit
from services.visits.store import concerns, people, requirements, visits
from shared.contracts.visits import VisitScheduled
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.history import record
from shared.security.callers import Caller
from shared.web import refusals
from shared.web.commands import Answer


async def schedule_visit(work: UnitOfWork, caller: Caller, body: ScheduleVisitBody) -> Answer:
    """Schedule a visit: its requirements are taken up, and others hear of it.

    Raises Unprocessable with every field at fault, or Conflict if a requirement is no longer open.
    """
    connection = work.connection
    behind = await requirements.concerns_behind(connection, body.requirement_ids)
    known_concerns = await concerns.lock(connection, behind | set(body.concern_ids))
    wanted = await requirements.lock(connection, body.requirement_ids)
    pool = await people.hold(connection, [seat.person_id for seat in body.panel])
    provider, violations = await _provider(work, body)

    panel = tuple(Seat(seat.person_id, seat.role) for seat in body.panel)
    codes = rules.organisations_visited(body.provider_code, body.site_code, body.parent_code)
    violations += rules.check(
        provider_code=body.provider_code,
        kind=body.kind,
        visit_date=body.visit_date,
        late_reason=body.late_reason,
        requirement_ids=body.requirement_ids,
        concern_ids=body.concern_ids,
        requirements=wanted,
        concerns=known_concerns,
        today=work.today,
    )
    violations += panels.check(panel, {one: person.member for one, person in pool.items()}, codes)
    refuse(violations, "The visit cannot be scheduled as it stands")
    assert provider is not None  # else a violation says so

    identity = uuid7()
    with refusals.rules():
        steps = [requirement_rules.take_up(wanted[one], identity) for one in body.requirement_ids]
    visit = Visit(
        id=identity,
        provider_code=body.provider_code,
        site_code=body.site_code,
        parent_code=body.parent_code,
        kind=body.kind,
        visit_date=body.visit_date,
        concern_ids=_concerns(steps, body.concern_ids),
        requirement_ids=tuple(body.requirement_ids),
        panel=panel,
        reason=body.reason,
        late_reason=body.late_reason,
        scheduled_at=work.now,
    )
    await concerns.add_provider(connection, provider)
    await visits.add(connection, visit)
    await requirements.save(connection, [step.requirement for step in steps])
    detail = {
        "kind": visit.kind.value,
        "visit_date": visit.visit_date.isoformat(),
        "late_reason": visit.late_reason,
        **history.panel_detail(visit),
    }
    await record(
        connection,
        [
            history.of_visit(visit, "scheduled", at=work.now, actor=caller.subject, reason=body.reason, detail=detail),
            *(history.of_requirement(s, at=work.now, actor=caller.subject, reason=body.reason) for s in steps),
        ],
    )
    work.emit(
        VisitScheduled(
            visit_id=visit.id,
            provider=provider.ref,
            site_code=visit.site_code,
            kind=visit.kind,
            visit_date=visit.visit_date,
            concern_ids=list(visit.concern_ids),
            requirement_ids=list(visit.requirement_ids),
            panel_roles=[seat.role for seat in panel],
        ),
        key=visit.provider_code,
        correlation_id=visit.correlation_id,
    )
    return replace(await read_visit(work, caller, visit.id), status=201, location=f"/visits/{visit.id}")


async def _provider(work: UnitOfWork, body: ScheduleVisitBody) -> tuple[Provider | None, list[Violation]]:
    known = await concerns.provider(work.connection, body.provider_code)
    if known is not None:
        return known, []
    if body.provider is not None:
        return Provider(body.provider_code, body.provider.name, body.provider.kind), []
    reason = "is no provider that visits has heard of: check the code, or send its name and kind as `provider`"
    return None, [Violation("provider_code", reason)]


def _concerns(steps: list[Step], further: list[UUID]) -> tuple[UUID, ...]:
    """Concerns of the requirements first, each once, in the order they were named."""
    return tuple(dict.fromkeys([*(step.requirement.concern_id for step in steps), *further]))
